/**
 * The compiled policies of a view. Which sets apply to a workload: the mesh's, its namespace's, and
 * the one that it lists; each is compiled when first asked for and kept in step with the view.
 */
import type { Policy } from '../mesh/policy.ts';
import type { PolicyGroup } from '../mesh/policy-table.ts';
import type { View } from '../mesh/view.ts';
import type { Workload } from '../mesh/workload.ts';
import { PolicySet } from './policy-set.ts';

/** What policies are chosen by; any `Workload` is one. */
export type Subject = Pick<Workload, 'namespace' | 'policies'>;

export interface Applicable {
  readonly sets: readonly PolicySet[];
  /** A policy that the workload lists and nobody has; '' when all are there. */
  readonly missing: string;
}

/** A set and what it was made from. */
interface Kept {
  readonly set: PolicySet;
  from: unknown;
  generation: number;
}

class PolicySets {
  readonly #view: View;
  readonly #mesh: Kept = newKept();
  readonly #namespaces = new Map<string, Kept>();
  /** By the list itself, which all replicas of a deployment share. */
  readonly #listed = new WeakMap<readonly string[], Kept & { missing: string }>();

  constructor(view: View) {
    this.#view = view;
  }

  applicable({ namespace, policies }: Subject): Applicable {
    const sets = [this.#synced(this.#mesh, this.#view.policyTable.mesh)];
    const group = this.#view.policyTable.namespace(namespace);
    if (group === undefined) {
      this.#namespaces.delete(namespace);
    } else {
      const kept = this.#namespaces.get(namespace) ?? newKept();
      this.#namespaces.set(namespace, kept);
      sets.push(this.#synced(kept, group));
    }
    if (policies.length === 0) return { sets, missing: '' };
    const listed = this.#listedBy(policies);
    return { sets: [...sets, listed.set], missing: listed.missing };
  }

  #synced(kept: Kept, group: PolicyGroup): PolicySet {
    if (kept.from !== group || kept.generation !== group.generation) {
      kept.set.sync(group.policies);
      kept.from = group;
      kept.generation = group.generation;
    }
    return kept.set;
  }

  #listedBy(keys: readonly string[]): { readonly set: PolicySet; readonly missing: string } {
    const table = this.#view.policyTable;
    const kept = this.#listed.get(keys) ?? { ...newKept(), missing: '' };
    if (kept.from === table && kept.generation === table.generation) return kept;
    const found = new Map<string, Policy>();
    kept.missing = '';
    for (const key of keys) {
      const policy = table.get(key);
      if (policy === undefined) kept.missing ||= key;
      // Those of the mesh and of namespaces are in the other sets, where they belong.
      else if (policy.scope === 'selector') found.set(key, policy);
    }
    kept.set.sync(found);
    kept.from = table;
    kept.generation = table.generation;
    this.#listed.set(keys, kept);
    return kept;
  }
}

const setsByView = new WeakMap<View, PolicySets>();

/** Returns the compiled policies that apply to a workload. */
export function applicablePolicies(view: View, subject: Subject): Applicable {
  const sets = setsByView.get(view) ?? new PolicySets(view);
  setsByView.set(view, sets);
  return sets.applicable(subject);
}

function newKept(): Kept {
  return { set: new PolicySet(), from: undefined, generation: -1 };
}

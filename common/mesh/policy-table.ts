/**
 * The policies of a view, in the groups in which they apply: the mesh, each namespace, and by key for
 * those that a workload lists.
 *
 * A group's generation rises with every change inside it, so whoever has compiled a group can tell
 * whether to look again, and then finds what has changed by the identity of the policy objects.
 */
import type { Policy } from './policy.ts';
import { eachInSteps, type Steps } from './steps.ts';

export interface PolicyGroup {
  readonly policies: ReadonlyMap<string, Policy>;
  readonly generation: number;
}

interface Group {
  readonly policies: Map<string, Policy>;
  generation: number;
}

export class PolicyTable {
  readonly #byKey = new Map<string, Policy>();
  readonly #mesh: Group = { policies: new Map(), generation: 0 };
  readonly #byNamespace = new Map<string, Group>();
  #generation = 0;

  get size(): number {
    return this.#byKey.size;
  }

  /** Rises with every change of any policy. */
  get generation(): number {
    return this.#generation;
  }

  *apply(policies: readonly Policy[], removed: readonly string[]): Steps<void> {
    if (policies.length + removed.length > 0) this.#generation += 1;
    for (const key of removed) this.#remove(key);
    yield* eachInSteps(policies, (policy) => {
      this.#remove(policy.key);
      this.#byKey.set(policy.key, policy);
      const group = this.#groupOf(policy);
      if (group === undefined) return;
      group.policies.set(policy.key, policy);
      group.generation += 1;
    });
  }

  get(key: string): Policy | undefined {
    return this.#byKey.get(key);
  }

  all(): Iterable<Policy> {
    return this.#byKey.values();
  }

  /** The policies that apply to every workload. */
  get mesh(): PolicyGroup {
    return this.#mesh;
  }

  /** The policies that apply to every workload of a namespace. */
  namespace(namespace: string): PolicyGroup | undefined {
    return this.#byNamespace.get(namespace);
  }

  #remove(key: string): void {
    const policy = this.#byKey.get(key);
    if (policy === undefined) return;
    this.#byKey.delete(key);
    const group = this.#groupOf(policy);
    if (group === undefined) return;
    group.policies.delete(key);
    group.generation += 1;
    if (group !== this.#mesh && group.policies.size === 0)
      this.#byNamespace.delete(policy.namespace);
  }

  #groupOf({ scope, namespace }: Policy): Group | undefined {
    if (scope === 'selector') return undefined;
    if (scope === 'mesh') return this.#mesh;
    const group = this.#byNamespace.get(namespace) ?? { policies: new Map(), generation: 0 };
    this.#byNamespace.set(namespace, group);
    return group;
  }
}

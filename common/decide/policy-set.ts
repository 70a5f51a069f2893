/**
 * The policies of one group (the mesh, a namespace, what a workload lists), compiled and filed by
 * layer and by what they do. `sync` brings a set in step with its group: it compiles what is new.
 */
import type { Policy, PolicyLayer } from '../mesh/policy.ts';
import { compilePolicy } from './policy-match.ts';
import type { CompiledPolicy } from './policy-match.ts';
import { RuleIndex } from './rule-index.ts';

/** Policies of one layer that do the same, in the same earnest. */
export interface Bucket {
  readonly rules: RuleIndex;
  /** By key; a policy without rules is here too, for an ALLOW that allows nothing is still one. */
  readonly policies: Map<string, CompiledPolicy>;
}

export type BucketName = `${PolicyLayer} ${Policy['action']}${'' | ' dry-run'}`;

export class PolicySet {
  readonly #buckets = new Map<BucketName, Bucket>();
  readonly #compiled = new Map<string, CompiledPolicy>();

  bucket(name: BucketName): Bucket | undefined {
    return this.#buckets.get(name);
  }

  /** Makes the set hold exactly these policies; one that is the same object is left alone. */
  sync(policies: ReadonlyMap<string, Policy>): void {
    for (const [key, { policy }] of this.#compiled) {
      if (policies.get(key) !== policy) this.#remove(key);
    }
    for (const [key, policy] of policies) {
      if (!this.#compiled.has(key)) this.#add(key, compilePolicy(policy));
    }
  }

  #add(key: string, compiled: CompiledPolicy): void {
    const name = bucketOf(compiled.policy);
    const bucket = this.#buckets.get(name) ?? { rules: new RuleIndex(), policies: new Map() };
    this.#buckets.set(name, bucket);
    this.#compiled.set(key, compiled);
    bucket.policies.set(key, compiled);
    for (const rule of compiled.rules) bucket.rules.add(rule);
  }

  #remove(key: string): void {
    const compiled = this.#compiled.get(key);
    if (compiled === undefined) return;
    this.#compiled.delete(key);
    const name = bucketOf(compiled.policy);
    const bucket = this.#buckets.get(name);
    bucket?.policies.delete(key);
    for (const rule of compiled.rules) bucket?.rules.remove(rule);
    if (bucket?.policies.size === 0) this.#buckets.delete(name);
  }
}

function bucketOf({ layer, action, dryRun }: Policy): BucketName {
  return `${layer} ${action}${dryRun ? ' dry-run' : ''}`;
}

/**
 * Whether a connection may reach a workload: the one place where access policy is judged.
 *
 * Layer by layer (peer authentication, network policy, authorization): a DENY that matches refuses;
 * where there is any ALLOW, one must match. Whatever is not known refuses. The answer does not depend
 * on the order in which policies came, and hardly costs more with ten thousand of them than with ten.
 */
import type { Policy, PolicyLayer } from '../mesh/policy.ts';
import type { View } from '../mesh/view.ts';
import { factsOf } from './facts.ts';
import type { Connection, Facts } from './facts.ts';
import { nearestRule } from './near-miss.ts';
import { describeField, ruleMatches } from './policy-match.ts';
import type { CompiledRule } from './policy-match.ts';
import { applicablePolicies } from './policy-sets.ts';
import type { Subject } from './policy-sets.ts';
import type { Bucket, BucketName, PolicySet } from './policy-set.ts';

export type { Connection } from './facts.ts';

export interface Verdict {
  readonly allow: boolean;
  /**
   * Key of the policy that decided; of a refusal for want of an ALLOW, of the policy that came
   * nearest; '' when none applies.
   */
  readonly policy: string;
  /** The rule that matched; '' when none did. */
  readonly rule: string;
  readonly reason: string;
  /** What the nearest rule of an ALLOW missed; '' when allowed, or when a DENY matched. */
  readonly nearMiss: string;
  readonly audits: readonly Audit[];
}

/** What a policy that is not enforced has to say. */
export interface Audit {
  readonly policy: string;
  readonly rule: string;
  /** True when the connection would be refused if dry-run policies of the layer were enforced. */
  readonly wouldDeny: boolean;
}

/** Audits that one verdict may carry. */
const AUDITS_MAX = 16;

const LAYERS: readonly PolicyLayer[] = ['peer-authentication', 'network-policy', 'authorization'];

/** Judges `connection` to a workload by all policies of the view that apply to it. */
export function authorize(view: View, subject: Subject, connection: Connection): Verdict {
  const { sets, missing } = applicablePolicies(view, subject);
  const facts = factsOf(connection);
  const audits = auditsOf(sets, facts);
  if (missing !== '') {
    const reason = `the policy ${missing} selects this workload and is not known yet`;
    return { allow: false, policy: missing, rule: '', reason, nearMiss: '', audits };
  }
  let allowed: CompiledRule | undefined;
  for (const layer of LAYERS) {
    const deny = matching(sets, `${layer} deny`, facts);
    if (deny !== undefined) {
      const reason = `${deny.policy.key} ${deny.name} denies it`;
      return { ...named(deny), allow: false, reason, nearMiss: '', audits };
    }
    if (!has(sets, `${layer} allow`)) continue;
    allowed = matching(sets, `${layer} allow`, facts);
    if (allowed === undefined) return notAllowed(sets, layer, { facts, audits });
  }
  const reason =
    allowed === undefined
      ? 'no policy restricts it'
      : `${allowed.policy.key} ${allowed.name} allows it`;
  return { ...named(allowed), allow: true, reason, nearMiss: '', audits };
}

function notAllowed(
  sets: readonly PolicySet[],
  layer: PolicyLayer,
  { facts, audits }: { readonly facts: Facts; readonly audits: readonly Audit[] },
): Verdict {
  const { policy, nearMiss } = nearestRule(bucketsOf(sets, `${layer} allow`), facts, describeField);
  const reason = `no ALLOW rule of the ${layer} layer matches`;
  return { allow: false, policy, rule: '', reason, nearMiss, audits };
}

/** Finds the matching rule of the policy with the least key, so that all workers name the same. */
function matching(
  sets: readonly PolicySet[],
  name: BucketName,
  facts: Facts,
): CompiledRule | undefined {
  let found: CompiledRule | undefined;
  for (const { rules } of bucketsOf(sets, name)) {
    rules.search(facts, (rule) => {
      if (comesFirst(rule, found) && ruleMatches(rule, facts)) found = rule;
    });
  }
  return found;
}

function comesFirst(rule: CompiledRule, than: CompiledRule | undefined): boolean {
  if (than === undefined) return true;
  const { policy, order } = rule;
  return policy === than.policy ? order < than.order : policy.key < than.policy.key;
}

function auditsOf(sets: readonly PolicySet[], facts: Facts): Audit[] {
  const audits: Audit[] = [];
  for (const layer of LAYERS) {
    for (const name of [`${layer} audit`, `${layer} audit dry-run`] as const) {
      audits.push(...matchingEach(sets, name, facts, false));
    }
    audits.push(...matchingEach(sets, `${layer} deny dry-run`, facts, true));
    if (!has(sets, `${layer} allow dry-run`)) continue;
    const allows = matchingEach(sets, `${layer} allow dry-run`, facts, false);
    audits.push(...allows);
    if (allows.length > 0 || matching(sets, `${layer} allow`, facts) !== undefined) continue;
    const { policy } = nearestRule(bucketsOf(sets, `${layer} allow dry-run`), facts, describeField);
    audits.push({ policy, rule: '', wouldDeny: true });
  }
  return audits.length > AUDITS_MAX ? audits.slice(0, AUDITS_MAX) : audits;
}

/** Lists the policies that match, with the first rule of each that does, in the order of keys. */
function matchingEach(
  sets: readonly PolicySet[],
  name: BucketName,
  facts: Facts,
  wouldDeny: boolean,
): Audit[] {
  const first = new Map<Policy, CompiledRule>();
  for (const { rules } of bucketsOf(sets, name)) {
    rules.search(facts, (rule) => {
      if (comesFirst(rule, first.get(rule.policy)) && ruleMatches(rule, facts)) {
        first.set(rule.policy, rule);
      }
    });
  }
  if (first.size === 0) return [];
  return Array.from(first.values())
    .toSorted((a, b) => (a.policy.key < b.policy.key ? -1 : 1))
    .map((rule) => ({ ...named(rule), wouldDeny }));
}

function named(rule: CompiledRule | undefined): { readonly policy: string; readonly rule: string } {
  return { policy: rule?.policy.key ?? '', rule: rule?.name ?? '' };
}

function has(sets: readonly PolicySet[], name: BucketName): boolean {
  return sets.some((set) => set.bucket(name) !== undefined);
}

function bucketsOf(sets: readonly PolicySet[], name: BucketName): Bucket[] {
  const buckets: Bucket[] = [];
  for (const set of sets) {
    const bucket = set.bucket(name);
    if (bucket !== undefined) buckets.push(bucket);
  }
  return buckets;
}

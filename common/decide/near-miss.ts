/**
 * Which ALLOW rule came nearest to letting a refused connection in, and what it missed.
 *
 * For people, so it is bounded: rules that share something with the connection are looked at first,
 * then a few of the others.
 */
import type { Facts } from './facts.ts';
import type { Match } from '../mesh/policy.ts';
import { countMisses, describeMisses } from './policy-match.ts';
import type { Clauses, Describe } from './policy-match.ts';
import type { RuleIndex } from './rule-index.ts';

/** A rule of a policy on connections or on requests. */
interface AnyRule<M extends Match, F extends Facts> {
  readonly policy: { readonly key: string };
  readonly name: string;
  readonly order: number;
  readonly clauses: Clauses<M, F>;
}

/** Rules that do the same, and the policies that they are of. */
interface AnyBucket<M extends Match, F extends Facts> {
  readonly rules: Pick<RuleIndex<AnyRule<M, F>>, 'search'>;
  readonly policies: ReadonlyMap<string, { readonly rules: readonly AnyRule<M, F>[] }>;
}

/** Among rules that share something with the connection, and again among the others. */
const RULES_MAX = 16;
const TEXT_MAX = 400;

/** Finds the nearest rule in some buckets, and the key of its policy, or of any when none is near. */
export function nearestRule<M extends Match, F extends Facts>(
  buckets: readonly AnyBucket<M, F>[],
  facts: F,
  describe: Describe<M, F>,
): { readonly policy: string; readonly nearMiss: string } {
  const best = nearestOf(related(buckets, facts), facts);
  // Nothing that does not match misses less than one field.
  const found = best?.misses === 1 ? best : nearestOf(any(buckets), facts, best);
  if (found === undefined) return { policy: leastKey(buckets), nearMiss: '' };
  const { rule } = found;
  const text = `${rule.policy.key} ${rule.name}: ${describeMisses(rule, facts, describe)}`;
  return { policy: rule.policy.key, nearMiss: text.slice(0, TEXT_MAX) };
}

interface Near<M extends Match, F extends Facts> {
  readonly rule: AnyRule<M, F>;
  readonly misses: number;
}

function nearestOf<M extends Match, F extends Facts>(
  rules: Iterable<AnyRule<M, F>>,
  facts: F,
  than?: Near<M, F>,
): Near<M, F> | undefined {
  let best = than;
  for (const rule of rules) {
    const misses = countMisses(rule, facts);
    // A rule with a clause that nothing can match is near to nobody.
    if (misses === 0 || misses === Infinity) continue;
    if (best === undefined || isNearer(rule, misses, best)) best = { rule, misses };
  }
  return best;
}

function isNearer<M extends Match, F extends Facts>(
  rule: AnyRule<M, F>,
  misses: number,
  best: Near<M, F>,
): boolean {
  if (misses !== best.misses) return misses < best.misses;
  const [key, bestKey] = [rule.policy.key, best.rule.policy.key];
  return key === bestKey ? rule.order < best.rule.order : key < bestKey;
}

function related<M extends Match, F extends Facts>(
  buckets: readonly AnyBucket<M, F>[],
  facts: F,
): Set<AnyRule<M, F>> {
  const some = new Set<AnyRule<M, F>>();
  for (const { rules } of buckets) {
    rules.search(facts, (rule) => {
      if (some.size < RULES_MAX) some.add(rule);
    });
  }
  return some;
}

function any<M extends Match, F extends Facts>(
  buckets: readonly AnyBucket<M, F>[],
): AnyRule<M, F>[] {
  const some: AnyRule<M, F>[] = [];
  for (const { policies } of buckets) {
    for (const { rules } of policies.values()) {
      if (some.length >= RULES_MAX) return some;
      some.push(...rules.slice(0, RULES_MAX - some.length));
    }
  }
  return some;
}

function leastKey(buckets: readonly { readonly policies: ReadonlyMap<string, unknown> }[]): string {
  let least = '';
  for (const { policies } of buckets) {
    for (const key of policies.keys()) if (least === '' || key < least) least = key;
  }
  return least;
}

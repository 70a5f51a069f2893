/**
 * Which ALLOW rule came nearest to letting a refused connection in, and what it missed.
 *
 * For people, so it is bounded: rules that share something with the connection are looked at first,
 * then a few of the others.
 */
import type { Facts } from './facts.ts';
import { countMisses, describeMisses } from './policy-match.ts';
import type { CompiledRule } from './policy-match.ts';
import type { Bucket } from './policy-set.ts';

/** Among rules that share something with the connection, and again among the others. */
const RULES_MAX = 16;
const TEXT_MAX = 400;

/** Finds the nearest rule in some buckets, and the key of its policy, or of any when none is near. */
export function nearestRule(
  buckets: readonly Bucket[],
  facts: Facts,
): { readonly policy: string; readonly nearMiss: string } {
  const best = nearestOf(related(buckets, facts), facts);
  // Nothing that does not match misses less than one field.
  const found = best?.misses === 1 ? best : nearestOf(any(buckets), facts, best);
  if (found === undefined) return { policy: leastKey(buckets), nearMiss: '' };
  const { rule } = found;
  const text = `${rule.policy.key} ${rule.name}: ${describeMisses(rule, facts)}`;
  return { policy: rule.policy.key, nearMiss: text.slice(0, TEXT_MAX) };
}

interface Near {
  readonly rule: CompiledRule;
  readonly misses: number;
}

function nearestOf(rules: Iterable<CompiledRule>, facts: Facts, than?: Near): Near | undefined {
  let best = than;
  for (const rule of rules) {
    const misses = countMisses(rule, facts);
    // A rule with a clause that nothing can match is near to nobody.
    if (misses === 0 || misses === Infinity) continue;
    if (best === undefined || isNearer(rule, misses, best)) best = { rule, misses };
  }
  return best;
}

function isNearer(rule: CompiledRule, misses: number, best: Near): boolean {
  if (misses !== best.misses) return misses < best.misses;
  const [key, bestKey] = [rule.policy.key, best.rule.policy.key];
  return key === bestKey ? rule.order < best.rule.order : key < bestKey;
}

function related(buckets: readonly Bucket[], facts: Facts): Set<CompiledRule> {
  const some = new Set<CompiledRule>();
  for (const { rules } of buckets) {
    rules.search(facts, (rule) => {
      if (some.size < RULES_MAX) some.add(rule);
    });
  }
  return some;
}

function any(buckets: readonly Bucket[]): CompiledRule[] {
  const some: CompiledRule[] = [];
  for (const { policies } of buckets) {
    for (const { rules } of policies.values()) {
      if (some.length >= RULES_MAX) return some;
      some.push(...rules.slice(0, RULES_MAX - some.length));
    }
  }
  return some;
}

function leastKey(buckets: readonly Bucket[]): string {
  let least = '';
  for (const { policies } of buckets) {
    for (const key of policies.keys()) if (least === '' || key < least) least = key;
  }
  return least;
}

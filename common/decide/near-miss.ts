/**
 * Which ALLOW rule came nearest to letting a refused connection in, and what it missed.
 *
 * For people, so it is bounded: rules that share something with the connection are looked at first,
 * then a few of the others.
 */
import type { Facts } from './facts.ts';
import { describeMisses, missesOf } from './policy-match.ts';
import type { CompiledRule } from './policy-match.ts';
import type { Bucket } from './policy-set.ts';

const RULES_MAX = 64;
const TEXT_MAX = 400;

export function nearestRule(
  buckets: readonly Bucket[],
  facts: Facts,
): { readonly policy: string; readonly nearMiss: string } {
  let best: { rule: CompiledRule; misses: number } | undefined;
  for (const rule of someRules(buckets, facts)) {
    const misses = missesOf(rule, facts).length;
    // A rule that misses no field has a clause that nothing can match.
    if (misses > 0 && (best === undefined || isNearer(rule, misses, best))) best = { rule, misses };
  }
  if (best === undefined) return { policy: leastKey(buckets), nearMiss: '' };
  const { rule } = best;
  const text = `${rule.policy.key} ${rule.name}: ${describeMisses(rule, facts)}`;
  return { policy: rule.policy.key, nearMiss: text.slice(0, TEXT_MAX) };
}

function isNearer(
  rule: CompiledRule,
  misses: number,
  best: { readonly rule: CompiledRule; readonly misses: number },
): boolean {
  if (misses !== best.misses) return misses < best.misses;
  const [key, bestKey] = [rule.policy.key, best.rule.policy.key];
  return key === bestKey ? rule.order < best.rule.order : key < bestKey;
}

function someRules(buckets: readonly Bucket[], facts: Facts): Set<CompiledRule> {
  const some = new Set<CompiledRule>();
  for (const { rules } of buckets) {
    rules.search(facts, (rule) => {
      if (some.size < RULES_MAX) some.add(rule);
    });
  }
  for (const { policies } of buckets) {
    for (const { rules } of policies.values()) {
      for (const rule of rules) {
        if (some.size >= RULES_MAX) return some;
        some.add(rule);
      }
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

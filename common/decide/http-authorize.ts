/**
 * Whether a request may pass a waypoint or gateway: the one place where policy on requests is judged.
 *
 * Order: a DENY that matches refuses; where there is any ALLOW, one must match; then every CUSTOM
 * policy that matches names an authoriser that must say yes as well (asked last, since it costs a
 * call, and a refusal is a refusal whoever says it first). A path that could be read in two ways
 * must pass in both. The answer does not depend on the order in which policies came.
 */
import type { HttpMatch, HttpPolicy } from '../mesh/http-policy.ts';
import type { Audit } from './authorize.ts';
import { httpFactsOf } from './http-facts.ts';
import type { HttpCall, HttpFacts } from './http-facts.ts';
import { compileHttpPolicy, describeHttpField } from './http-match.ts';
import type { CompiledHttpPolicy, CompiledHttpRule } from './http-match.ts';
import { nearestRule } from './near-miss.ts';
import { readings } from './normalize-path.ts';
import { ruleMatches } from './policy-match.ts';
import { RuleIndex } from './rule-index.ts';

export type { HttpCall } from './http-facts.ts';

export interface HttpVerdict {
  readonly allow: boolean;
  /** Key of the policy that decided, or came nearest; '' when none applies. */
  readonly policy: string;
  readonly rule: string;
  readonly reason: string;
  /** What the nearest rule of an ALLOW missed. */
  readonly nearMiss: string;
  readonly audits: readonly Audit[];
  /** Authorisers that must say yes as well; empty when refused. */
  readonly ask: readonly Asked[];
}

export interface Asked {
  readonly provider: string;
  readonly policy: string;
  readonly rule: string;
}

type BucketName = `${HttpPolicy['action']}${'' | ' dry-run'}`;

/** Policies of one target that do the same, in the same earnest. */
interface Bucket {
  readonly rules: RuleIndex<CompiledHttpRule>;
  readonly policies: Map<string, CompiledHttpPolicy>;
}

type Target = Map<BucketName, Bucket>;

const AUDITS_MAX = 16;
const OPEN = 'no policy on requests restricts it';
const UNRESTRICTED: HttpVerdict = Object.freeze({
  allow: true,
  policy: '',
  rule: '',
  reason: OPEN,
  nearMiss: '',
  audits: [],
  ask: [],
});

export class HttpAuthorizer {
  readonly #compiled = new Map<string, CompiledHttpPolicy>();
  readonly #targets = new Map<string, Target>();

  /** Adds or replaces policies, and forgets those whose keys are in `removed`. */
  apply(policies: readonly HttpPolicy[], removed: readonly string[]): void {
    for (const key of removed) this.#remove(key);
    for (const policy of policies) {
      this.#remove(policy.key);
      this.#add(compileHttpPolicy(policy));
    }
  }

  /** Judges a call by the policies of all `targets` (the service and the waypoint that it passes). */
  authorize(targets: readonly string[], call: HttpCall): HttpVerdict {
    const sets: Target[] = [];
    for (const key of targets) {
      const set = this.#targets.get(key);
      if (set !== undefined) sets.push(set);
    }
    if (sets.length === 0) return UNRESTRICTED;
    const facts = httpFactsOf(call);
    const audits = auditsOf(sets, facts);
    const ask = new Map<string, Asked>();
    let first: HttpVerdict | undefined;
    for (const path of readings(facts.path)) {
      const verdict = judge(sets, path === facts.path ? facts : { ...facts, path }, audits);
      if (!verdict.allow) return verdict;
      first ??= verdict;
      for (const one of verdict.ask) if (!ask.has(one.policy)) ask.set(one.policy, one);
    }
    const verdict = first ?? judge(sets, facts, audits);
    return ask.size > verdict.ask.length ? { ...verdict, ask: [...ask.values()] } : verdict;
  }

  #add(compiled: CompiledHttpPolicy): void {
    const { policy, rules } = compiled;
    this.#compiled.set(policy.key, compiled);
    for (const key of new Set(policy.targets)) {
      const target: Target = this.#targets.get(key) ?? new Map();
      this.#targets.set(key, target);
      const name = bucketName(policy);
      const bucket = target.get(name) ?? { rules: new RuleIndex(), policies: new Map() };
      target.set(name, bucket);
      bucket.policies.set(policy.key, compiled);
      for (const rule of rules) bucket.rules.add(rule);
    }
  }

  #remove(key: string): void {
    const compiled = this.#compiled.get(key);
    if (compiled === undefined) return;
    this.#compiled.delete(key);
    const name = bucketName(compiled.policy);
    for (const targetKey of new Set(compiled.policy.targets)) {
      const target = this.#targets.get(targetKey);
      const bucket = target?.get(name);
      bucket?.policies.delete(key);
      for (const rule of compiled.rules) bucket?.rules.remove(rule);
      if (bucket?.policies.size === 0) target?.delete(name);
      if (target?.size === 0) this.#targets.delete(targetKey);
    }
  }
}

function judge(sets: readonly Target[], facts: HttpFacts, audits: readonly Audit[]): HttpVerdict {
  const deny = matching(sets, 'deny', facts);
  if (deny !== undefined) {
    const reason = `${deny.policy.key} ${deny.name} denies it`;
    return { ...named(deny), allow: false, reason, nearMiss: '', audits, ask: [] };
  }
  const allows = bucketsOf(sets, 'allow');
  const allowed = matching(sets, 'allow', facts);
  if (allows.length > 0 && allowed === undefined) {
    const { policy, nearMiss } = nearestRule<HttpMatch, HttpFacts>(
      allows,
      facts,
      describeHttpField,
    );
    const reason = 'no ALLOW rule for requests matches';
    return { allow: false, policy, rule: '', reason, nearMiss, audits, ask: [] };
  }
  const ask = matchingEach(sets, 'custom', facts).map((rule) => ({
    ...named(rule),
    provider: rule.policy.provider,
  }));
  const reason = allowed === undefined ? OPEN : `${allowed.policy.key} ${allowed.name} allows it`;
  return { ...named(allowed), allow: true, reason, nearMiss: '', audits, ask };
}

function auditsOf(sets: readonly Target[], facts: HttpFacts): Audit[] {
  const audits: Audit[] = [];
  const tell = (name: BucketName, wouldDeny: boolean): number => {
    const rules = matchingEach(sets, name, facts);
    for (const rule of rules) audits.push({ ...named(rule), wouldDeny });
    return rules.length;
  };
  tell('audit', false);
  tell('audit dry-run', false);
  tell('deny dry-run', true);
  tell('custom dry-run', false);
  const tried = bucketsOf(sets, 'allow dry-run');
  if (tried.length > 0 && tell('allow dry-run', false) === 0) {
    if (matching(sets, 'allow', facts) === undefined) {
      const { policy } = nearestRule<HttpMatch, HttpFacts>(tried, facts, describeHttpField);
      audits.push({ policy, rule: '', wouldDeny: true });
    }
  }
  return audits.length > AUDITS_MAX ? audits.slice(0, AUDITS_MAX) : audits;
}

/** Finds the matching rule of the policy with the least key, so that all workers name the same. */
function matching(
  sets: readonly Target[],
  name: BucketName,
  facts: HttpFacts,
): CompiledHttpRule | undefined {
  let found: CompiledHttpRule | undefined;
  for (const { rules } of bucketsOf(sets, name)) {
    rules.search(facts, (rule) => {
      if (comesFirst(rule, found) && ruleMatches(rule, facts)) found = rule;
    });
  }
  return found;
}

/** Lists the first matching rule of each policy, in the order of keys. */
function matchingEach(
  sets: readonly Target[],
  name: BucketName,
  facts: HttpFacts,
): readonly CompiledHttpRule[] {
  const buckets = bucketsOf(sets, name);
  if (buckets.length === 0) return NO_RULES;
  const first = new Map<HttpPolicy, CompiledHttpRule>();
  for (const { rules } of buckets) {
    rules.search(facts, (rule) => {
      if (comesFirst(rule, first.get(rule.policy)) && ruleMatches(rule, facts)) {
        first.set(rule.policy, rule);
      }
    });
  }
  return Array.from(first.values()).toSorted((a, b) => (a.policy.key < b.policy.key ? -1 : 1));
}

const NO_RULES: readonly CompiledHttpRule[] = [];

function comesFirst(rule: CompiledHttpRule, than: CompiledHttpRule | undefined): boolean {
  if (than === undefined) return true;
  const { policy, order } = rule;
  return policy === than.policy ? order < than.order : policy.key < than.policy.key;
}

function bucketsOf(sets: readonly Target[], name: BucketName): Bucket[] {
  const buckets: Bucket[] = [];
  for (const set of sets) {
    const bucket = set.get(name);
    if (bucket !== undefined) buckets.push(bucket);
  }
  return buckets;
}

function bucketName({ action, dryRun }: HttpPolicy): BucketName {
  return `${action}${dryRun ? ' dry-run' : ''}`;
}

function named(rule: CompiledHttpRule | undefined): {
  readonly policy: string;
  readonly rule: string;
} {
  return { policy: rule?.policy.key ?? '', rule: rule?.name ?? '' };
}

/**
 * A policy made ready to be matched, and the answer to "what was missing".
 *
 * Follows the rules in common/mesh/policy.ts to the letter. A field with an empty list is a field
 * that is not set, as in Istio; a CIDR of one family never holds an address of the other.
 */
import { cidrContains, parseCidr } from '../address.ts';
import type { Match, Policy, PortRange } from '../mesh/policy.ts';
import type { Address, Facts } from './facts.ts';

export interface CompiledPolicy {
  readonly policy: Policy;
  readonly rules: readonly CompiledRule[];
}

/** A rule on a connection; with other types for its parts, on a request (http-match.ts). */
export interface CompiledRule<
  M extends Match = Match,
  F extends Facts = Facts,
  P extends { readonly key: string } = Policy,
> {
  readonly policy: P;
  readonly name: string;
  /** Its place among the rules of the policy. */
  readonly order: number;
  readonly clauses: Clauses<M, F>;
}

export type Clauses<M extends Match, F extends Facts> = readonly (readonly CompiledMatch<M, F>[])[];

export interface CompiledMatch<M extends Match = Match, F extends Facts = Facts> {
  readonly source: M;
  readonly checks: readonly Check<M, F>[];
}

export interface Check<M extends Match = Match, F extends Facts = Facts> {
  readonly field: keyof M;
  readonly passes: (facts: F) => boolean;
}

/** Says in words what a field of a match wanted and what was found. */
export type Describe<M extends Match, F extends Facts> = (
  field: keyof M,
  match: M,
  facts: F,
) => string;

/** The part of a rule that matching looks at. */
type Matchable<M extends Match, F extends Facts> = { readonly clauses: Clauses<M, F> };

/** With fewer bits a CIDR is an IPv6 one; with as many or more and mapped bytes, an IPv4 one. */
export const IPV4_BITS = 96;

export function compilePolicy(policy: Policy): CompiledPolicy {
  return {
    policy,
    rules: policy.rules.map(({ name, clauses }, order) => ({
      policy,
      name,
      order,
      clauses: clauses.map(({ matches }) => matches.map((match) => compileMatch(match))),
    })),
  };
}

export function ruleMatches<M extends Match, F extends Facts>(
  { clauses }: Matchable<M, F>,
  facts: F,
): boolean {
  return clauses.every((clause) => clauseMatches(clause, facts));
}

function clauseMatches<M extends Match, F extends Facts>(
  clause: readonly CompiledMatch<M, F>[],
  facts: F,
): boolean {
  return clause.length === 0 || clause.some((match) => matchMatches(match, facts));
}

function matchMatches<M extends Match, F extends Facts>(
  { checks }: CompiledMatch<M, F>,
  facts: F,
): boolean {
  return checks.length > 0 && checks.every((check) => check.passes(facts));
}

/** Counts the fields for want of which a rule does not match: in each clause, of its nearest match. */
export function countMisses<M extends Match, F extends Facts>(
  rule: Matchable<M, F>,
  facts: F,
): number {
  let count = 0;
  for (const clause of rule.clauses) {
    if (clauseMatches(clause, facts)) continue;
    let least = Infinity;
    for (const { checks } of clause) {
      let missed = 0;
      for (const check of checks) if (!check.passes(facts)) missed += 1;
      if (missed > 0 && missed < least) least = missed;
    }
    count += least;
  }
  return count;
}

/** Says in words what a rule missed, or '' when it matches or never can. */
export function describeMisses<M extends Match, F extends Facts>(
  rule: Matchable<M, F>,
  facts: F,
  describe: Describe<M, F>,
): string {
  return rule.clauses
    .filter((clause) => !clauseMatches(clause, facts))
    .flatMap((clause) => {
      const near = nearest(clause, facts);
      if (near === undefined) return [];
      return near.missed.map((field) => describe(field, near.match.source, facts));
    })
    .join(' and ');
}

function nearest<M extends Match, F extends Facts>(
  clause: readonly CompiledMatch<M, F>[],
  facts: F,
): { readonly match: CompiledMatch<M, F>; readonly missed: readonly (keyof M)[] } | undefined {
  return clause
    .filter(({ checks }) => checks.length > 0)
    .map((match) => ({
      match,
      missed: match.checks.filter((check) => !check.passes(facts)).map(({ field }) => field),
    }))
    .toSorted((a, b) => a.missed.length - b.missed.length)[0];
}

/** Compiles the fields of a match that a connection has. */
export function compileMatch(source: Match): CompiledMatch {
  const checks: Check[] = [];
  const add = <T>(
    fields: readonly [positive: keyof Match, negative: keyof Match],
    values: readonly [readonly T[] | undefined, readonly T[] | undefined],
    compile: (values: readonly T[]) => (facts: Facts) => boolean,
  ): void => {
    const [wanted = [], unwanted = []] = values;
    if (wanted.length > 0) checks.push({ field: fields[0], passes: compile(wanted) });
    if (unwanted.length === 0) return;
    const matches = compile(unwanted);
    checks.push({ field: fields[1], passes: (facts) => !matches(facts) });
  };
  const { destinationPorts, notDestinationPorts } = source;
  add(
    ['destinationPorts', 'notDestinationPorts'],
    [destinationPorts, notDestinationPorts],
    inPorts,
  );
  const { namespaces, notNamespaces } = source;
  add(['namespaces', 'notNamespaces'], [namespaces, notNamespaces], (patterns) => {
    const matches = inTexts(patterns);
    return ({ namespace }) => namespace !== undefined && matches(namespace);
  });
  const { serviceAccounts, notServiceAccounts } = source;
  add(['serviceAccounts', 'notServiceAccounts'], [serviceAccounts, notServiceAccounts], (names) => {
    const accounts = new Set(names);
    return ({ account }) => account !== undefined && accounts.has(account);
  });
  const { principals, notPrincipals } = source;
  add(['principals', 'notPrincipals'], [principals, notPrincipals], (patterns) => {
    const matches = inTexts(patterns);
    return ({ principal }) => principal !== undefined && matches(principal);
  });
  const { sourceIps, notSourceIps, destinationIps, notDestinationIps } = source;
  add(['sourceIps', 'notSourceIps'], [sourceIps, notSourceIps], (blocks) => {
    const holds = inBlocks(blocks);
    return (facts) => holds(facts.source);
  });
  add(['destinationIps', 'notDestinationIps'], [destinationIps, notDestinationIps], (blocks) => {
    const holds = inBlocks(blocks);
    return (facts) => holds(facts.destination);
  });
  return { source, checks };
}

/** A text pattern taken apart. */
export type Pattern =
  | { readonly kind: 'present' }
  | { readonly kind: 'exact' | 'prefix' | 'suffix'; readonly text: string };

export function parsePattern(pattern: string): Pattern {
  if (pattern === '*') return { kind: 'present' };
  if (pattern.startsWith('*')) return { kind: 'suffix', text: pattern.slice(1) };
  if (pattern.endsWith('*')) return { kind: 'prefix', text: pattern.slice(0, -1) };
  return { kind: 'exact', text: pattern };
}

/** Returns what says whether a text fits one of some patterns. */
export function inTexts(patterns: readonly string[]): (text: string) => boolean {
  const exact = new Set<string>();
  const others: ((text: string) => boolean)[] = [];
  for (const pattern of patterns.map(parsePattern)) {
    if (pattern.kind === 'exact') exact.add(pattern.text);
    else if (pattern.kind === 'prefix') others.push((text) => text.startsWith(pattern.text));
    else if (pattern.kind === 'suffix') others.push((text) => text.endsWith(pattern.text));
    else others.push((text) => text !== '');
  }
  return (text) => exact.has(text) || others.some((matches) => matches(text));
}

/** Returns what says whether an address lies in one of some blocks. */
export function inBlocks(texts: readonly string[]): (address: Address) => boolean {
  const blocks = texts.map(parseCidr).filter((cidr) => cidr !== undefined);
  return ({ bytes }) => bytes !== undefined && blocks.some((cidr) => cidrContains(cidr, bytes));
}

function inPorts(ranges: readonly PortRange[]): (facts: Facts) => boolean {
  return ({ port }) => ranges.some(({ from, to }) => from <= port && port <= to);
}

/** Values of a field that a sentence can take. */
const SHOWN_MAX = 3;

/** Says what a field of a connection should have been. */
export function describeField(field: keyof Match, match: Match, facts: Facts): string {
  const values = (match[field] ?? []).map((value) => {
    if (typeof value === 'string') return value;
    return value.from === value.to ? `${value.from}` : `${value.from}-${value.to}`;
  });
  const wanted = listed(values);
  const { what, found } = subjectOf(field, facts);
  if (found === undefined) return `there is no identity, and ${what} must be ${wanted}`;
  return `${what} is ${found}, ${field.startsWith('not') ? 'and must not be' : 'not'} ${wanted}`;
}

/** The first few of many values, and how many more there are. */
export function listed(values: readonly string[]): string {
  const more = values.length > SHOWN_MAX ? ` or ${values.length - SHOWN_MAX} more` : '';
  return `${values.slice(0, SHOWN_MAX).join(', ')}${more}`;
}

function subjectOf(
  field: keyof Match,
  facts: Facts,
): { readonly what: string; readonly found: string | number | undefined } {
  switch (field) {
    case 'namespaces':
    case 'notNamespaces':
      return { what: 'the namespace', found: facts.namespace };
    case 'serviceAccounts':
    case 'notServiceAccounts':
      return { what: 'the service account', found: facts.account };
    case 'principals':
    case 'notPrincipals':
      return { what: 'the principal', found: facts.principal };
    case 'sourceIps':
    case 'notSourceIps':
      return { what: 'the source', found: facts.source.text };
    case 'destinationIps':
    case 'notDestinationIps':
      return { what: 'the destination', found: facts.destination.text };
    case 'destinationPorts':
    case 'notDestinationPorts':
      return { what: 'the port', found: facts.port };
  }
  return { what: field, found: undefined };
}

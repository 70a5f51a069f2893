/**
 * Policies on requests made ready to be matched, and what was missing in words.
 *
 * The fields of the connection are compiled by policy-match.ts, so they cannot mean anything else
 * here. What is not there (a header, a claim, a token) matches no value, not even `*`, and is no
 * match of what is excluded.
 */
import type { ClaimValues, HttpMatch, HttpPolicy, NamedValues } from '../mesh/http-policy.ts';
import { claimTexts } from './http-facts.ts';
import type { HttpFacts } from './http-facts.ts';
import { compilePathPattern } from './path-template.ts';
import { compileMatch, describeField, inBlocks, inTexts, listed } from './policy-match.ts';
import type { Check, CompiledMatch, CompiledRule } from './policy-match.ts';

export type CompiledHttpRule = CompiledRule<HttpMatch, HttpFacts, HttpPolicy>;
type HttpCheck = Check<HttpMatch, HttpFacts>;
type Passes = (facts: HttpFacts) => boolean;

export interface CompiledHttpPolicy {
  readonly policy: HttpPolicy;
  readonly rules: readonly CompiledHttpRule[];
}

export function compileHttpPolicy(policy: HttpPolicy): CompiledHttpPolicy {
  return {
    policy,
    rules: policy.rules.map(({ name, clauses }, order) => ({
      policy,
      name,
      order,
      clauses: clauses.map(({ matches }) => matches.map(compileHttpMatch)),
    })),
  };
}

function compileHttpMatch(source: HttpMatch): CompiledMatch<HttpMatch, HttpFacts> {
  const checks: HttpCheck[] = [...compileMatch(source).checks];
  const both = <T>(
    [field, twin]: readonly [keyof HttpMatch, keyof HttpMatch],
    [wanted = [], unwanted = []]: readonly [readonly T[] | undefined, readonly T[] | undefined],
    compile: (values: readonly T[]) => Passes,
  ): void => {
    if (wanted.length > 0) checks.push({ field, passes: compile(wanted) });
    if (unwanted.length === 0) return;
    const matches = compile(unwanted);
    checks.push({ field: twin, passes: (facts) => !matches(facts) });
  };
  both(['methods', 'notMethods'], [source.methods, source.notMethods], (patterns) => {
    const matches = inTexts(patterns);
    return ({ method }) => matches(method);
  });
  both(['hosts', 'notHosts'], [source.hosts, source.notHosts], (patterns) => {
    const matches = inTexts(patterns.map((pattern) => pattern.toLowerCase()));
    return ({ host }) => matches(host);
  });
  both(['paths', 'notPaths'], [source.paths, source.notPaths], (patterns) => {
    const all = patterns.map(compilePathPattern);
    return ({ path }) => all.some((matches) => matches(path));
  });
  both(['remoteIps', 'notRemoteIps'], [source.remoteIps, source.notRemoteIps], (blocks) => {
    const holds = inBlocks(blocks);
    return ({ remote }) => holds(remote);
  });
  const { requestPrincipals, notRequestPrincipals } = source;
  both(
    ['requestPrincipals', 'notRequestPrincipals'],
    [requestPrincipals, notRequestPrincipals],
    (patterns) => {
      const matches = inTexts(patterns);
      return (facts) => facts.requestPrincipal !== undefined && matches(facts.requestPrincipal);
    },
  );
  addEach(checks, ['headers', 'notHeaders'], [source.headers, source.notHeaders], headerCheck);
  addEach(checks, ['claims', 'notClaims'], [source.claims, source.notClaims], claimCheck);
  return { source, checks };
}

/** Adds a check for each named thing: those that are wanted and those that are not are all AND-ed. */
function addEach<T>(
  checks: HttpCheck[],
  [field, twin]: readonly [keyof HttpMatch, keyof HttpMatch],
  [wanted = [], unwanted = []]: readonly [readonly T[] | undefined, readonly T[] | undefined],
  compile: (one: T) => Passes,
): void {
  for (const one of wanted) checks.push({ field, passes: compile(one) });
  for (const one of unwanted) {
    const matches = compile(one);
    checks.push({ field: twin, passes: (facts) => !matches(facts) });
  }
}

function headerCheck({ name, values }: NamedValues): Passes {
  const matches = inTexts(values);
  return (facts) => {
    const value = facts.header(name);
    return value !== undefined && matches(value);
  };
}

function claimCheck({ path, values }: ClaimValues): Passes {
  const matches = inTexts(values);
  return (facts) => claimTexts(facts.claims, path).some(matches);
}

/** Says what a field of a request should have been; of headers and tokens never what they were. */
export function describeHttpField(
  field: keyof HttpMatch,
  match: HttpMatch,
  facts: HttpFacts,
): string {
  const sentence = (what: string, found: string, values: readonly string[]): string =>
    `${what} is ${found}, ${field.startsWith('not') ? 'and must not be' : 'not'} ${listed(values)}`;
  switch (field) {
    case 'methods':
    case 'notMethods':
      return sentence('the method', facts.method, match[field] ?? []);
    case 'hosts':
    case 'notHosts':
      return sentence('the host', facts.host, match[field] ?? []);
    case 'paths':
    case 'notPaths':
      return sentence('the path', facts.path, match[field] ?? []);
    case 'remoteIps':
    case 'notRemoteIps':
      return sentence('the remote address', facts.remote.text, match[field] ?? []);
    case 'requestPrincipals':
    case 'notRequestPrincipals': {
      const wanted = listed(match[field] ?? []);
      if (facts.requestPrincipal === undefined) {
        return `there is no token, and the request principal must be ${wanted}`;
      }
      return sentence('the request principal', facts.requestPrincipal, match[field] ?? []);
    }
    case 'headers':
    case 'notHeaders':
      return named(
        'the header',
        field,
        (match[field] ?? []).map(({ name }) => name),
      );
    case 'claims':
    case 'notClaims':
      return named(
        'the claim',
        field,
        (match[field] ?? []).map(({ path }) => path.join('.')),
      );
    case 'namespaces':
    case 'notNamespaces':
    case 'serviceAccounts':
    case 'notServiceAccounts':
    case 'principals':
    case 'notPrincipals':
    case 'sourceIps':
    case 'notSourceIps':
    case 'destinationIps':
    case 'notDestinationIps':
    case 'destinationPorts':
    case 'notDestinationPorts':
      break;
  }
  return describeField(field, match, facts);
}

function named(what: string, field: string, names: readonly string[]): string {
  const is = field.startsWith('not') ? 'has a value that is excluded' : 'has not the wanted value';
  return `${what} ${listed(names)} ${is}`;
}

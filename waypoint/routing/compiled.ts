/**
 * Rules of routes made ready: everything that can be worked out before a request comes is here, and
 * is shared by all requests.
 */
import { compilePattern } from '#common/decide/pattern.ts';
import type {
  Backend,
  CorsFilter,
  HeaderFilter,
  MirrorFilter,
  RedirectFilter,
  RewriteFilter,
  Route,
  RouteFilter,
  RouteMatch,
  RouteRule,
  ValueMatch,
} from '#common/mesh/route.ts';
import { queryValue } from './request.ts';
import type { RequestView } from './request.ts';

/** A rule with what it does, sorted by when it is done. */
export interface CompiledRule {
  readonly route: Route;
  readonly rule: RouteRule;
  /** `HTTPRoute/shop/cart rules[0]`, for logs. */
  readonly name: string;
  readonly requestHeaders: readonly HeaderFilter[];
  readonly responseHeaders: readonly HeaderFilter[];
  readonly redirect: RedirectFilter | undefined;
  readonly rewrite: RewriteFilter | undefined;
  readonly mirrors: readonly MirrorFilter[];
  readonly cors: CorsFilter | undefined;
  /** Those with a weight; `upTo` are sums of weights. */
  readonly backends: readonly CompiledBackend[];
  readonly totalWeight: number;
}

export interface CompiledBackend {
  readonly rule: CompiledRule;
  readonly backend: Backend;
  readonly requestHeaders: readonly HeaderFilter[];
  readonly responseHeaders: readonly HeaderFilter[];
  /** Sum of the weights up to and with this one. */
  readonly upTo: number;
}

/** One match of one rule. */
export interface Candidate {
  readonly rule: CompiledRule;
  readonly match: RouteMatch;
  /** Its place among all matches of its frontend, as written: the first of equals wins. */
  readonly order: number;
  /** Whatever the path does not decide. */
  readonly checks: readonly Check[];
}

export type Check = (request: RequestView) => boolean;

export function compileRule(route: Route, rule: RouteRule): CompiledRule {
  const { filters } = rule;
  const backends: CompiledBackend[] = [];
  const compiled: CompiledRule = {
    route,
    rule,
    name: `${route.key} ${rule.name}`,
    requestHeaders: filters.filter(isRequestHeaders),
    responseHeaders: filters.filter(isResponseHeaders),
    redirect: filters.find((filter) => filter.kind === 'redirect'),
    rewrite: filters.find((filter) => filter.kind === 'rewrite'),
    mirrors: filters.filter((filter) => filter.kind === 'mirror'),
    cors: filters.find((filter) => filter.kind === 'cors'),
    backends,
    totalWeight: rule.backends.reduce((sum, { weight }) => sum + weight, 0),
  };
  let upTo = 0;
  for (const backend of rule.backends) {
    if (backend.weight === 0) continue;
    upTo += backend.weight;
    backends.push({
      rule: compiled,
      backend,
      requestHeaders: backend.filters.filter(isRequestHeaders),
      responseHeaders: backend.filters.filter(isResponseHeaders),
      upTo,
    });
  }
  return compiled;
}

/** Compiles what a match asks for beside the path (or, of gRPC, the call). */
export function compileChecks(match: RouteMatch): readonly Check[] {
  const { method } = match;
  const checks: Check[] = [];
  if (method !== '') checks.push((request) => request.method === method);
  for (const header of match.headers) {
    const { name } = header;
    const fits = compileValue(header);
    checks.push((request) => {
      const value = request.header(name);
      return value !== undefined && fits(value);
    });
  }
  for (const parameter of match.query) {
    const { name } = parameter;
    const fits = compileValue(parameter);
    checks.push((request) => {
      const value = queryValue(request.query, name);
      return value !== undefined && fits(value);
    });
  }
  return checks;
}

export function passes(candidate: Candidate, request: RequestView): boolean {
  for (const check of candidate.checks) if (!check(request)) return false;
  return true;
}

function compileValue({ kind, value }: ValueMatch): (value: string) => boolean {
  if (kind === 'exact') return (given) => given === value;
  const pattern = compilePattern(value);
  return (given) => pattern.test(given);
}

function isRequestHeaders(filter: RouteFilter): filter is HeaderFilter {
  return filter.kind === 'request-headers';
}

function isResponseHeaders(filter: RouteFilter): filter is HeaderFilter {
  return filter.kind === 'response-headers';
}

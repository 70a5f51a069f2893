/**
 * The rules of a route for one kind of parent.
 *
 * A rule with anything that we do not do is left out whole and named: half a rule would look applied.
 * A backend that cannot be used keeps its rule, and answers 500.
 */
import { patternFault } from '#common/decide/pattern.ts';
import { ANY_CALL, MATCH_ALL } from '#common/mesh/route.ts';
import type {
  GrpcMatch,
  Route,
  RouteMatch,
  RouteRule,
  SessionPersistence,
  ValueMatch,
} from '#common/mesh/route.ts';
import { backendOf, resolveBackend } from './route-backends.ts';
import type { ParentKind } from './route-backends.ts';
import { compileBackendFilters, compileFilters } from './route-filters.ts';
import type { RuleContext } from './route-filters.ts';
import { routeKey } from './route-objects.ts';
import type { MatchSpec, RouteObject, RuleSpec } from './route-objects.ts';
import type { Fault } from './route-status.ts';
import type { RouteWorld } from './route-world.ts';

export interface CompiledRoute {
  /** Undefined when no rule of it can be kept. */
  readonly route: Route | undefined;
  readonly unsupported: readonly Fault[];
  readonly references: readonly Fault[];
}

export function compileRoute(
  object: RouteObject,
  parent: ParentKind,
  world: RouteWorld,
): CompiledRoute {
  const unsupported: Fault[] = [];
  const references: Fault[] = [];
  const rules = object.rules.flatMap((spec, i) => {
    const findings = { unsupported: [], references: [] };
    const context: RuleContext = { route: object, parent, world, findings };
    const rule = compileRule(spec, i, context);
    unsupported.push(...findings.unsupported);
    references.push(...findings.references);
    return findings.unsupported.length === 0 ? [rule] : [];
  });
  const key = routeKey(object);
  const hostnames = object.hostnames.map((name) => name.toLowerCase());
  return {
    // One that was written without rules stays: nothing matches it, which is what it says.
    route:
      rules.length < object.rules.length && rules.length === 0
        ? undefined
        : { key, hostnames, rules },
    unsupported,
    references,
  };
}

function compileRule(spec: RuleSpec, index: number, context: RuleContext): RouteRule {
  const { route, findings } = context;
  const path = `rules[${index}]`;
  const name = spec.name === '' ? path : spec.name;
  return {
    name,
    matches: compileMatches(spec.matches, path, context),
    filters: compileFilters(spec.filters, `${path}.filters`, spec.matches, context),
    backends: spec.backends.map((backend, i) => {
      const field = `${path}.backendRefs[${i}]`;
      const resolved = resolveBackend(backend, field, context);
      if (resolved.fault !== undefined) findings.references.push(resolved.fault);
      const filters = compileBackendFilters(backend.filters, `${field}.filters`, findings);
      return backendOf(resolved, backend, filters);
    }),
    timeouts: spec.timeouts,
    retry: spec.retry,
    persistence: persistenceOf(spec.persistence, `${routeKey(route)} ${name}`),
  };
}

function compileMatches(
  specs: readonly MatchSpec[],
  path: string,
  context: RuleContext,
): RouteMatch[] {
  const isGrpc = context.route.kind === 'GRPCRoute';
  if (specs.length === 0) return [isGrpc ? { ...MATCH_ALL, grpc: ANY_CALL } : MATCH_ALL];
  return specs.map((spec, i) => {
    const field = `${path}.matches[${i}]`;
    const check = (at: string, kind: string, pattern: string): void => {
      const fault = kind === 'pattern' ? patternFault(pattern) : '';
      if (fault === '') return;
      context.findings.unsupported.push({
        field: `${field}.${at}`,
        reason: 'UnsupportedValue',
        message: `"${pattern}" cannot be matched in linear time: ${fault}`,
      });
    };
    check('path', spec.path.kind, spec.path.value);
    for (const [j, { kind, value }] of spec.headers.entries()) check(`headers[${j}]`, kind, value);
    for (const [j, { kind, value }] of spec.query.entries())
      check(`queryParams[${j}]`, kind, value);
    const grpc: GrpcMatch | undefined = isGrpc ? (spec.grpc ?? ANY_CALL) : undefined;
    check('method.service', grpc?.kind ?? '', grpc?.service ?? '');
    check('method.method', grpc?.kind ?? '', grpc?.method ?? '');
    const headers = spec.headers.map((one) => ({ ...one, name: one.name.toLowerCase() }));
    return {
      path: spec.path,
      method: spec.method,
      headers: firstOfEachName(headers),
      query: firstOfEachName(spec.query),
      grpc,
    };
  });
}

/** Of several that name the same, only the first counts, by the specification. */
function firstOfEachName(values: readonly ValueMatch[]): ValueMatch[] {
  return values.filter(({ name }, i) => values.findIndex((one) => one.name === name) === i);
}

/** Without a name, one that two rules do not share. */
function persistenceOf(
  spec: SessionPersistence | undefined,
  owner: string,
): SessionPersistence | undefined {
  if (spec === undefined || spec.name !== '') return spec;
  let hash = 0x811c9dc5;
  for (let i = 0; i < owner.length; i += 1) {
    hash = Math.imul(hash ^ owner.charCodeAt(i), 0x01000193);
  }
  return { ...spec, name: `plumbline-session-${(hash >>> 0).toString(36)}` };
}

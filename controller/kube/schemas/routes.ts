/**
 * HTTPRoute, GRPCRoute, TLSRoute and TCPRoute of the Gateway API, the experimental fields included.
 *
 * What the CRDs check is checked here too, since a directory has no API server. What can only be told
 * with other objects in hand, and what we do not do, is said by the model as the route's status.
 */
import type { GrpcMatch, PathMatch, SessionPersistence } from '#common/mesh/route.ts';
import { MATCH_ALL, NO_TIMEOUTS } from '#common/mesh/route.ts';
import type {
  BackendSpec,
  MatchSpec,
  RouteKind,
  RouteObject,
  RuleSpec,
} from '../../model/route-objects.ts';
import {
  convert,
  integer,
  list,
  oneOf,
  optional,
  record,
  required,
  text,
  withDefault,
  type Schema,
} from '../schema.ts';
import {
  backendRefFields,
  duration,
  generationMeta,
  headerName,
  parentRefs,
  ruleName,
  valueMatches,
  weight,
  withPort,
} from './gateway-shared.ts';
import { grpcFilters, httpFilters } from './route-filters.ts';
import { hostname } from './shared.ts';

const RULES_MAX = 16;
const DEFAULT_ATTEMPTS = 2;
const DEFAULT_BACKOFF_MS = 25;

const PATH_CHARACTERS = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})+$/;
const PATH_TWISTS = /\/\/|\/\.\.?(\/|$)|%2f|%2F/;

const pathMatch = convert(
  record({
    type: withDefault(oneOf('Exact', 'PathPrefix', 'RegularExpression'), 'PathPrefix'),
    value: withDefault(
      text('a path of at most 1024 characters', (value) => value.length <= 1024),
      '/',
    ),
  }),
  ({ type, value }, path, report): PathMatch | undefined => {
    if (type === 'RegularExpression') return { kind: 'pattern', value };
    if (!value.startsWith('/') || !PATH_CHARACTERS.test(value) || PATH_TWISTS.test(value)) {
      const expected = 'a path that begins with "/", without "//", "/./", "/../" and "%2F"';
      report([...path, 'value'], `"${value.slice(0, 80)}"; expected ${expected}`);
      return undefined;
    }
    const isPrefix = type === 'PathPrefix';
    const bare = isPrefix && value.length > 1 && value.endsWith('/') ? value.slice(0, -1) : value;
    return { kind: isPrefix ? 'prefix' : 'exact', value: bare };
  },
);

const parameterName = text(
  'a parameter name',
  (value) => value.length <= 256 && /^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/.test(value),
);

const httpMatch = convert(
  record({
    path: withDefault(pathMatch, MATCH_ALL.path),
    headers: withDefault(valueMatches(headerName), []),
    queryParams: withDefault(valueMatches(parameterName), []),
    method: optional(
      oneOf('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'),
    ),
  }),
  ({ queryParams, method, ...rest }): MatchSpec => ({
    ...rest,
    method: method ?? '',
    query: queryParams,
    grpc: undefined,
  }),
);

const callName = text(
  'a name of gRPC, such as "shop.Cart" or "Add"',
  (value) => value !== '' && value.length <= 1024 && !value.includes('/'),
);

const methodMatch = convert(
  record({
    type: withDefault(oneOf('Exact', 'RegularExpression'), 'Exact'),
    service: withDefault(callName, ''),
    method: withDefault(callName, ''),
  }),
  ({ type, service, method }, path, report): GrpcMatch | undefined => {
    if (service !== '' || method !== '') {
      return { kind: type === 'Exact' ? 'exact' : 'pattern', service, method };
    }
    report(path, 'nothing in it; expected service, method or both');
    return undefined;
  },
);

const grpcMatch = convert(
  record({
    method: optional(methodMatch),
    headers: withDefault(valueMatches(headerName), []),
  }),
  ({ method, headers }): MatchSpec => ({ ...MATCH_ALL, headers, grpc: method }),
);

const timeouts = convert(
  record({ request: withDefault(duration, 0), backendRequest: withDefault(duration, 0) }),
  ({ request, backendRequest }, path, report) => {
    if (request === 0 || backendRequest <= request) {
      return { requestMs: request, backendRequestMs: backendRequest };
    }
    report([...path, 'backendRequest'], 'longer than request; expected at most as long');
    return undefined;
  },
);

const retry = convert(
  record({
    codes: withDefault(list(integer(400, 599), { max: 64 }), []),
    attempts: withDefault(integer(0, 100), DEFAULT_ATTEMPTS),
    backoff: withDefault(duration, DEFAULT_BACKOFF_MS),
  }),
  ({ codes, attempts, backoff }) => ({ codes, attempts, backoffMs: backoff }),
);

const persistence = convert(
  record({
    sessionName: withDefault(
      text('a name of at most 128 letters, digits, "-" and "_"', (value) =>
        /^[A-Za-z0-9_-]{1,128}$/.test(value),
      ),
      '',
    ),
    absoluteTimeout: withDefault(duration, 0),
    idleTimeout: withDefault(duration, 0),
    type: withDefault(oneOf('Cookie', 'Header'), 'Cookie'),
    cookieConfig: optional(
      record({ lifetimeType: withDefault(oneOf('Session', 'Permanent'), 'Session') }),
    ),
  }),
  (raw, path, report): SessionPersistence | undefined => {
    const isPermanent = raw.cookieConfig?.lifetimeType === 'Permanent';
    if (isPermanent && raw.absoluteTimeout === 0) {
      report([...path, 'absoluteTimeout'], 'missing; expected it with lifetimeType Permanent');
      return undefined;
    }
    return {
      kind: raw.type === 'Cookie' ? 'cookie' : 'header',
      name: raw.sessionName,
      isPermanent,
      absoluteTimeoutMs: raw.absoluteTimeout,
      idleTimeoutMs: raw.idleTimeout,
    };
  },
);

const httpBackend = withPort(record({ ...backendRefFields, weight, filters: httpFilters }));
const grpcBackend = withPort(record({ ...backendRefFields, weight, filters: grpcFilters }));
const plainBackend = convert(
  withPort(record({ ...backendRefFields, weight })),
  (raw): BackendSpec => ({ ...raw, filters: [] }),
);

const httpRule = convert(
  record({
    name: ruleName,
    matches: withDefault(list(httpMatch, { max: 64 }), []),
    filters: httpFilters,
    backendRefs: withDefault(list(httpBackend, { max: 16 }), []),
    timeouts: withDefault(timeouts, NO_TIMEOUTS),
    retry: optional(retry),
    sessionPersistence: optional(persistence),
  }),
  ({ backendRefs, sessionPersistence, ...rest }, path, report): RuleSpec | undefined => {
    const isRedirect = rest.filters.some(({ type }) => type === 'RequestRedirect');
    if (isRedirect && backendRefs.length > 0) {
      report([...path, 'backendRefs'], 'beside a RequestRedirect; expected none');
      return undefined;
    }
    return { ...rest, backends: backendRefs, persistence: sessionPersistence };
  },
);

const grpcRule = convert(
  record({
    name: ruleName,
    matches: withDefault(list(grpcMatch, { max: 64 }), []),
    filters: grpcFilters,
    backendRefs: withDefault(list(grpcBackend, { max: 16 }), []),
    sessionPersistence: optional(persistence),
  }),
  ({ backendRefs, sessionPersistence, ...rest }): RuleSpec => ({
    ...rest,
    backends: backendRefs,
    timeouts: NO_TIMEOUTS,
    retry: undefined,
    persistence: sessionPersistence,
  }),
);

const streamRule = convert(
  record({ name: ruleName, backendRefs: required(list(plainBackend, { min: 1, max: 16 })) }),
  ({ name, backendRefs }): RuleSpec => ({
    name,
    matches: [],
    filters: [],
    backends: backendRefs,
    timeouts: NO_TIMEOUTS,
    retry: undefined,
    persistence: undefined,
  }),
);

const hostnames = withDefault(list(hostname, { max: 16 }), []);
const everything: RuleSpec = {
  name: '',
  matches: [],
  filters: [],
  backends: [],
  timeouts: NO_TIMEOUTS,
  retry: undefined,
  persistence: undefined,
};
const http = record({
  parentRefs,
  hostnames,
  rules: withDefault(list(httpRule, { min: 1, max: RULES_MAX }), [everything]),
});
const grpc = record({
  parentRefs,
  hostnames,
  rules: withDefault(list(grpcRule, { max: RULES_MAX }), []),
});
const tls = record({
  parentRefs,
  hostnames: required(list(hostname, { min: 1, max: 16 })),
  rules: required(list(streamRule, { min: 1, max: RULES_MAX })),
});
const tcp = convert(
  record({ parentRefs, rules: required(list(streamRule, { min: 1, max: RULES_MAX })) }),
  (raw) => ({ ...raw, hostnames: [] as string[] }),
);

export const httpRouteSchema = routeSchema('HTTPRoute', http);
export const grpcRouteSchema = routeSchema('GRPCRoute', grpc);
export const tlsRouteSchema = routeSchema('TLSRoute', tls);
export const tcpRouteSchema = routeSchema('TCPRoute', tcp);

interface RouteSpec {
  parentRefs: RouteObject['parents'];
  hostnames: string[];
  rules: RuleSpec[];
}

function routeSchema(kind: RouteKind, spec: Schema<RouteSpec>): Schema<RouteObject> {
  return convert(
    record({ metadata: required(generationMeta), spec: required(spec) }, ['status']),
    ({ metadata, spec: raw }): RouteObject => ({
      kind,
      meta: metadata.meta,
      generation: metadata.generation,
      parents: raw.parentRefs,
      hostnames: raw.hostnames,
      rules: raw.rules,
    }),
  );
}

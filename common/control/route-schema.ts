/**
 * Strict decoders of what a waypoint is told: routes, policies on requests, rules for tokens.
 *
 * Patterns are compiled here once, so that none that cannot be gets further in. Bounds are those of
 * the Gateway API, or far above what Kubernetes can hold in one object.
 */
import { patternFault } from '../decide/pattern.ts';
import type {
  ClaimValues,
  HttpClause,
  HttpMatch,
  HttpPolicy,
  HttpRule,
  NamedValues,
} from '../mesh/http-policy.ts';
import type {
  Backend,
  ConsumerSet,
  CorsFilter,
  Frontend,
  GrpcMatch,
  HeaderFilter,
  HeaderValue,
  MirrorFilter,
  PathChange,
  PathMatch,
  RedirectFilter,
  RewriteFilter,
  Route,
  RouteFilter,
  RouteMatch,
  RouteRetry,
  RouteRule,
  RouteSet,
  RouteTimeouts,
  SessionPersistence,
  ValueMatch,
} from '../mesh/route.ts';
import type { TokenPlace, TokenRule } from '../mesh/token-rule.ts';
import {
  boolean,
  integer,
  kinds,
  lines,
  list,
  number,
  object,
  oneOf,
  partial,
  suchThat,
  text,
  type Decoder,
} from './decode.ts';
import { CONNECTION_FIELDS } from './mesh-schema.ts';

/** Entries of a list inside one object. */
const MOST = 65_536;
/** Rules, matches, filters, backends, headers: the Gateway API allows at most 64 of any. */
const FEW = 64;

const name = text(253);
const key = text(1024);
const value = text(4096);
const port = integer(0, 65_535);
const durationMs = integer(0, 10 ** 12);
const host = suchThat(name, 'a lower-case host name', (one) => one === one.toLowerCase());
const headerName = suchThat(text(256), 'a lower-case header name', (one) =>
  /^[a-z0-9!#$%&'*+\-.^_`|~]+$/.test(one),
);

function isMatchable({ kind, value: pattern }: { kind: string; value: string }): boolean {
  return kind !== 'pattern' || patternFault(pattern) === '';
}

const MATCHABLE = 'a pattern that can be matched in linear time';

const path = suchThat(
  object<PathMatch>({ kind: oneOf('exact', 'prefix', 'pattern'), value: key }),
  MATCHABLE,
  isMatchable,
);

function valueMatch(of: Decoder<string>): Decoder<ValueMatch> {
  const fields = { name: of, kind: oneOf('exact', 'pattern'), value };
  return suchThat(object<ValueMatch>(fields), MATCHABLE, isMatchable);
}

const grpc = suchThat(
  object<GrpcMatch>({ kind: oneOf('exact', 'pattern'), service: key, method: key }),
  MATCHABLE,
  ({ kind, service, method }) =>
    isMatchable({ kind, value: service }) && isMatchable({ kind, value: method }),
);

const match = object<RouteMatch>(
  {
    path,
    method: text(32),
    headers: list(valueMatch(headerName), FEW),
    query: list(valueMatch(text(256)), FEW),
    grpc,
  },
  ['grpc'],
);

const headerValue = object<HeaderValue>({ name: headerName, value });
const headerFilter = object<HeaderFilter>({
  kind: oneOf('request-headers', 'response-headers'),
  set: list(headerValue, FEW),
  add: list(headerValue, FEW),
  remove: list(headerName, FEW),
});

const pathChange = object<PathChange>({ kind: oneOf('full', 'prefix'), value: key });
const share = suchThat(number, 'a number from 0 to 1', (one) => one >= 0 && one <= 1);

const filter = kinds<RouteFilter>({
  'request-headers': headerFilter,
  'response-headers': headerFilter,
  redirect: object<RedirectFilter>(
    {
      kind: oneOf('redirect'),
      scheme: oneOf('', 'http', 'https'),
      hostname: host,
      port,
      path: pathChange,
      status: oneOf(301, 302, 303, 307, 308),
    },
    ['path'],
  ),
  rewrite: object<RewriteFilter>({ kind: oneOf('rewrite'), hostname: host, path: pathChange }, [
    'path',
  ]),
  mirror: object<MirrorFilter>({ kind: oneOf('mirror'), service: key, port, share, name: key }),
  cors: object<CorsFilter>({
    kind: oneOf('cors'),
    allowOrigins: list(key, FEW),
    allowCredentials: boolean,
    allowMethods: list(key, FEW),
    allowHeaders: list(key, FEW),
    exposeHeaders: list(key, FEW),
    maxAgeSeconds: integer(0, 2 ** 31 - 1),
  }),
});

const backend = object<Backend>({
  service: key,
  port,
  weight: integer(0, 1_000_000),
  filters: list(headerFilter, FEW),
  name: key,
});

const rule = object<RouteRule>(
  {
    name,
    matches: suchThat(list(match, FEW), 'at least one match', (all) => all.length > 0),
    filters: list(filter, FEW),
    backends: list(backend, FEW),
    timeouts: object<RouteTimeouts>({ requestMs: durationMs, backendRequestMs: durationMs }),
    retry: object<RouteRetry>({
      codes: list(integer(400, 599), FEW),
      attempts: integer(0, 100),
      backoffMs: durationMs,
    }),
    persistence: object<SessionPersistence>({
      kind: oneOf('cookie', 'header'),
      name: text(128),
      isPermanent: boolean,
      absoluteTimeoutMs: durationMs,
      idleTimeoutMs: durationMs,
    }),
  },
  ['retry', 'persistence'],
);

const routes = list(
  object<Route>({ key, hostnames: list(host, FEW), rules: list(rule, FEW) }),
  MOST,
);
const protocol = oneOf('http', 'grpc', 'tls', 'tcp');

export const frontend: Decoder<Frontend> = object<Frontend>(
  {
    key,
    kind: oneOf('service', 'gateway'),
    owner: key,
    port,
    producer: object<RouteSet>({ protocol, routes }),
    consumers: list(object<ConsumerSet>({ protocol, routes, namespace: name }), MOST),
  },
  ['producer'],
);

const texts = list(key, MOST);
const headers = list(object<NamedValues>({ name: headerName, values: texts }), MOST);
const claims = list(object<ClaimValues>({ path: list(key, 16), values: texts }), MOST);

const httpMatch = partial<HttpMatch>({
  ...CONNECTION_FIELDS,
  hosts: texts,
  notHosts: texts,
  methods: texts,
  notMethods: texts,
  paths: texts,
  notPaths: texts,
  requestPrincipals: texts,
  notRequestPrincipals: texts,
  remoteIps: CONNECTION_FIELDS.sourceIps,
  notRemoteIps: CONNECTION_FIELDS.sourceIps,
  headers,
  notHeaders: headers,
  claims,
  notClaims: claims,
});

export const httpPolicy: Decoder<HttpPolicy> = object<HttpPolicy>({
  key,
  name,
  namespace: name,
  targets: list(key, FEW),
  action: oneOf('allow', 'deny', 'audit', 'custom'),
  provider: name,
  dryRun: boolean,
  rules: list(
    object<HttpRule>({
      name: key,
      clauses: list(object<HttpClause>({ matches: list(httpMatch, MOST) }), MOST),
    }),
    MOST,
  ),
});

const KEY_SET_MAX = 65_536;

export const tokenRule: Decoder<TokenRule> = object<TokenRule>({
  issuer: key,
  audiences: list(key, FEW),
  jwks: lines(KEY_SET_MAX),
  places: list(
    kinds<TokenPlace>({
      header: object({ kind: oneOf('header'), name: headerName, prefix: text(64) }),
      cookie: object({ kind: oneOf('cookie'), name: key }),
      parameter: object({ kind: oneOf('parameter'), name: key }),
    }),
    FEW,
  ),
  clockSkewMs: integer(0, 3_600_000),
});

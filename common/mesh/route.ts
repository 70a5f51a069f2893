/**
 * Routes of the Gateway API, worked out by controller/model: what a waypoint or gateway must do with
 * a request that arrives at one port of a service, or at one listener.
 *
 * Plain data. Whatever could not be kept is not here: an unsupported rule is left out, a backend that
 * is not there stands as one that answers 500. So whoever reads this decides nothing of that kind.
 */

/** What arrives is read as; tls and tcp are carried as they are, tls by the name that the client gives. */
export type RouteProtocol = 'http' | 'grpc' | 'tls' | 'tcp';

/** A place where requests arrive and routes apply. */
export interface Frontend {
  /** Primary key, `<service key>:<port>`, or `gateway/<namespace>/<name>/<listener>`. */
  readonly key: string;
  readonly kind: 'service' | 'gateway';
  /** Key of the service, `<namespace>/<hostname>`; of a gateway, `<namespace>/<name>`. */
  readonly owner: string;
  readonly port: number;
  /** For everybody; undefined where only some namespaces have routes of their own. */
  readonly producer: RouteSet | undefined;
  /** In place of `producer`, for callers whose verified identity is of one of these namespaces. */
  readonly consumers: readonly ConsumerSet[];
}

/**
 * Routes that apply together, of one protocol. At a gateway, `http` may hold routes of gRPC too:
 * they take the requests whose content type says so.
 */
export interface RouteSet {
  readonly protocol: RouteProtocol;
  /** The highest precedence first. */
  readonly routes: readonly Route[];
}

export interface ConsumerSet extends RouteSet {
  readonly namespace: string;
}

export interface Route {
  /** `HTTPRoute/<namespace>/<name>`, for logs. */
  readonly key: string;
  /** Of gateways, and of tls: `shop.example`, `*.example`. Empty for any. Lower case. */
  readonly hostnames: readonly string[];
  readonly rules: readonly RouteRule[];
}

export interface RouteRule {
  /** The name that its author gave, or `rules[2]`. */
  readonly name: string;
  /** OR-ed; never empty: a rule that says nothing has one match that takes everything. */
  readonly matches: readonly RouteMatch[];
  readonly filters: readonly RouteFilter[];
  /** Empty, or all of weight 0: 500, unless a redirect answers. */
  readonly backends: readonly Backend[];
  readonly timeouts: RouteTimeouts;
  readonly retry: RouteRetry | undefined;
  readonly persistence: SessionPersistence | undefined;
}

/** AND-ed. */
export interface RouteMatch {
  readonly path: PathMatch;
  /** '' for any. */
  readonly method: string;
  readonly headers: readonly ValueMatch[];
  readonly query: readonly ValueMatch[];
  /** Of GRPCRoute always and of no other; `path` says nothing then. */
  readonly grpc: GrpcMatch | undefined;
}

/** A prefix matches whole segments and has no slash at its end, but for `/`. */
export interface PathMatch {
  readonly kind: 'exact' | 'prefix' | 'pattern';
  readonly value: string;
}

export interface ValueMatch {
  /** Of a header: lower case. */
  readonly name: string;
  readonly kind: 'exact' | 'pattern';
  readonly value: string;
}

/** '' for any. */
export interface GrpcMatch {
  readonly kind: 'exact' | 'pattern';
  readonly service: string;
  readonly method: string;
}

export interface Backend {
  /** Key of the service; '' where there is none that may be used: its share is answered 500. */
  readonly service: string;
  readonly port: number;
  readonly weight: number;
  readonly filters: readonly HeaderFilter[];
  /** What the author wrote, `Service shop/cart:80`, for logs. */
  readonly name: string;
}

export type RouteFilter = HeaderFilter | RedirectFilter | RewriteFilter | MirrorFilter | CorsFilter;

export interface HeaderFilter {
  readonly kind: 'request-headers' | 'response-headers';
  readonly set: readonly HeaderValue[];
  readonly add: readonly HeaderValue[];
  readonly remove: readonly string[];
}

export interface HeaderValue {
  /** Lower case. */
  readonly name: string;
  readonly value: string;
}

/** Undefined and '' stand for "as in the request". */
export interface RedirectFilter {
  readonly kind: 'redirect';
  readonly scheme: '' | 'http' | 'https';
  readonly hostname: string;
  /** 0: as the scheme says, or as in the request when there is no scheme. */
  readonly port: number;
  readonly path: PathChange | undefined;
  readonly status: number;
}

export interface RewriteFilter {
  readonly kind: 'rewrite';
  readonly hostname: string;
  readonly path: PathChange | undefined;
}

/** `prefix` puts `value` in place of the prefix that matched. */
export interface PathChange {
  readonly kind: 'full' | 'prefix';
  readonly value: string;
}

export interface MirrorFilter {
  readonly kind: 'mirror';
  readonly service: string;
  readonly port: number;
  /** From 0 to 1. */
  readonly share: number;
  readonly name: string;
}

export interface CorsFilter {
  readonly kind: 'cors';
  /** `*`, `https://shop.example`, `https://*.example:8443`. */
  readonly allowOrigins: readonly string[];
  readonly allowCredentials: boolean;
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeSeconds: number;
}

/** 0 for none. */
export interface RouteTimeouts {
  readonly requestMs: number;
  readonly backendRequestMs: number;
}

export interface RouteRetry {
  readonly codes: readonly number[];
  readonly attempts: number;
  readonly backoffMs: number;
}

export interface SessionPersistence {
  readonly kind: 'cookie' | 'header';
  readonly name: string;
  /** Of a cookie: kept by the client beyond its session. */
  readonly isPermanent: boolean;
  /** 0 for none. */
  readonly absoluteTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

/** What a GRPCRoute matches that names no call. */
export const ANY_CALL: GrpcMatch = { kind: 'exact', service: '', method: '' };

export const NO_TIMEOUTS: RouteTimeouts = { requestMs: 0, backendRequestMs: 0 };

/** What a rule without matches matches. */
export const MATCH_ALL: RouteMatch = {
  path: { kind: 'prefix', value: '/' },
  method: '',
  headers: [],
  query: [],
  grpc: undefined,
};

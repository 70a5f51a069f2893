/**
 * The objects of the Gateway API that routing is made of, cut down to the fields that count.
 *
 * Plain data, decoded and defaulted by whoever read it. A filter that the Gateway API knows and we do
 * not do is here by its type, so that the status can name it.
 */
import type {
  CorsFilter,
  GrpcMatch,
  PathChange,
  PathMatch,
  RouteRetry,
  SessionPersistence,
  ValueMatch,
} from '#common/mesh/route.ts';
import type { LabelSelector, Meta } from './objects.ts';

export type RouteKind = 'HTTPRoute' | 'GRPCRoute' | 'TLSRoute' | 'TCPRoute' | 'UDPRoute';

export const GATEWAY_GROUP = 'gateway.networking.k8s.io';

export interface RouteObject {
  readonly kind: RouteKind;
  readonly meta: Meta;
  /** `metadata.generation`, which a status says it has seen; 0 from a directory. */
  readonly generation: number;
  readonly parents: readonly ParentRef[];
  readonly hostnames: readonly string[];
  readonly rules: readonly RuleSpec[];
}

export interface ParentRef {
  /** '' is the core group. */
  readonly group: string;
  readonly kind: string;
  /** '' for the namespace of the route. */
  readonly namespace: string;
  readonly name: string;
  readonly sectionName: string;
  /** 0 for every port. */
  readonly port: number;
}

export interface RuleSpec {
  /** '' when its author gave none. */
  readonly name: string;
  /** Empty: everything. */
  readonly matches: readonly MatchSpec[];
  readonly filters: readonly FilterSpec[];
  readonly backends: readonly BackendSpec[];
  readonly timeouts: { readonly requestMs: number; readonly backendRequestMs: number };
  readonly retry: RouteRetry | undefined;
  /** A name of '' stands for one that we choose. */
  readonly persistence: SessionPersistence | undefined;
}

export interface MatchSpec {
  readonly path: PathMatch;
  readonly method: string;
  readonly headers: readonly ValueMatch[];
  readonly query: readonly ValueMatch[];
  readonly grpc: GrpcMatch | undefined;
}

export interface HeaderChanges {
  readonly set: readonly { readonly name: string; readonly value: string }[];
  readonly add: readonly { readonly name: string; readonly value: string }[];
  readonly remove: readonly string[];
}

export type FilterSpec =
  | ({ readonly type: 'RequestHeaderModifier' | 'ResponseHeaderModifier' } & HeaderChanges)
  | {
      readonly type: 'RequestRedirect';
      readonly scheme: '' | 'http' | 'https';
      readonly hostname: string;
      readonly port: number;
      readonly path: PathChange | undefined;
      readonly status: number;
    }
  | {
      readonly type: 'URLRewrite';
      readonly hostname: string;
      readonly path: PathChange | undefined;
    }
  | { readonly type: 'RequestMirror'; readonly backend: BackendRefSpec; readonly share: number }
  | ({ readonly type: 'CORS' } & Omit<CorsFilter, 'kind'>)
  | { readonly type: 'ExternalAuth' | 'ExtensionRef' };

export interface BackendRefSpec {
  readonly group: string;
  readonly kind: string;
  /** '' for the namespace of the route. */
  readonly namespace: string;
  readonly name: string;
  /** 0 when there is none. */
  readonly port: number;
}

export interface BackendSpec extends BackendRefSpec {
  readonly weight: number;
  readonly filters: readonly FilterSpec[];
}

export interface GatewayObject {
  readonly kind: 'Gateway';
  readonly meta: Meta;
  readonly generation: number;
  readonly className: string;
  readonly listeners: readonly ListenerSpec[];
}

export interface ListenerSpec {
  readonly name: string;
  readonly port: number;
  /** `HTTP`, `HTTPS`, `TLS`, `TCP`, `UDP`, or one of somebody's own such as `HBONE`. */
  readonly protocol: string;
  /** '' for any. */
  readonly hostname: string;
  readonly tlsMode: '' | 'Terminate' | 'Passthrough';
  readonly allowed: AllowedRoutes;
}

export interface AllowedRoutes {
  readonly from: 'Same' | 'All' | 'Selector' | 'None';
  readonly selector: LabelSelector | undefined;
  /** Undefined: those that suit the protocol. */
  readonly kinds: readonly { readonly group: string; readonly kind: string }[] | undefined;
}

export interface ReferenceGrantObject {
  readonly kind: 'ReferenceGrant';
  readonly meta: Meta;
  readonly from: readonly {
    readonly group: string;
    readonly kind: string;
    readonly namespace: string;
  }[];
  readonly to: readonly { readonly group: string; readonly kind: string; readonly name: string }[];
}

/** `HTTPRoute/shop/cart`. */
export function routeKey({ kind, meta }: Pick<RouteObject, 'kind' | 'meta'>): string {
  return `${kind}/${meta.namespace}/${meta.name}`;
}

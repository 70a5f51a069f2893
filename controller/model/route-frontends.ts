/**
 * Frontends put together from the routes that claim them, and who has a port when kinds compete.
 */
import type { ConsumerSet, Frontend, Route, RouteProtocol, RouteSet } from '#common/mesh/route.ts';
import type { GatewayObject, ListenerSpec, RouteKind, RouteObject } from './route-objects.ts';

const PROTOCOLS: Readonly<Record<Exclude<RouteKind, 'UDPRoute'>, RouteProtocol>> = {
  GRPCRoute: 'grpc',
  HTTPRoute: 'http',
  TLSRoute: 'tls',
  TCPRoute: 'tcp',
};

/** Which kind has a port when several ask for it. */
const RANKS: readonly RouteKind[] = ['GRPCRoute', 'HTTPRoute', 'TLSRoute', 'TCPRoute', 'UDPRoute'];

/** A route and the object that it was made of. */
export interface Attached {
  readonly object: RouteObject;
  readonly route: Route;
}

/** Routes that compete for one port, of the producer (namespace '') or of one consumer. */
export interface Claim {
  readonly service: string;
  readonly port: number;
  readonly namespace: string;
  readonly members: Attached[];
}

/** A listener and the routes that it takes, the oldest first. */
export interface Place {
  readonly gateway: GatewayObject;
  readonly listener: ListenerSpec;
  readonly routes: Route[];
}

/** The frontend of a port, from all who claim it. */
export function serviceFrontend(key: string, claims: readonly Claim[]): Frontend {
  let producer: RouteSet | undefined;
  const consumers: ConsumerSet[] = [];
  const [first] = claims;
  for (const { namespace, members } of claims) {
    const set = setOf(members);
    if (set === undefined) continue;
    if (namespace === '') producer = set;
    else consumers.push({ namespace, ...set });
  }
  return {
    key,
    kind: 'service',
    owner: first?.service ?? '',
    port: first?.port ?? 0,
    producer,
    consumers: consumers.toSorted((a, b) => (a.namespace < b.namespace ? -1 : 1)),
  };
}

/** The frontend of a listener and the routes that it takes. */
export function gatewayFrontend({ gateway, listener, routes }: Place): Frontend {
  const owner = `${gateway.meta.namespace}/${gateway.meta.name}`;
  const { protocol } = listener;
  return {
    key: `gateway/${owner}/${listener.name}`,
    kind: 'gateway',
    owner,
    port: listener.port,
    producer: {
      protocol: protocol === 'TLS' ? 'tls' : protocol === 'TCP' ? 'tcp' : 'http',
      routes,
    },
    consumers: [],
  };
}

function setOf(members: readonly Attached[]): RouteSet | undefined {
  const winner = winnerOf(members);
  if (winner === undefined || winner.kind === 'UDPRoute') return undefined;
  const routes = members.filter(({ object }) => object.kind === winner.kind);
  return { protocol: PROTOCOLS[winner.kind], routes: routes.map(({ route }) => route) };
}

/** The oldest of the kind that has the port. */
export function winnerOf(members: readonly Attached[]): RouteObject | undefined {
  for (const kind of RANKS) {
    const one = members.find(({ object }) => object.kind === kind);
    if (one !== undefined) return one.object;
  }
  return undefined;
}

/**
 * Where an outbound connection goes: hbone.md section 3.1 as one pure function.
 *
 * A destination that the mesh knows never turns into plain passage because something is missing: a
 * service without endpoints refuses. Only what nobody knows, and services that ask for it, pass as
 * they are. Which endpoint it is comes later (`choose`), since that depends on what failed before.
 */
import type { ErrorCode } from '../errors.ts';
import { formatEndpoint, isLoopback } from '../address.ts';
import type { Service } from '../mesh/service.ts';
import type { View } from '../mesh/view.ts';
import type { Workload } from '../mesh/workload.ts';
import type { BalanceState } from './balance-state.ts';
import { pickEndpoint } from './balance.ts';
import { serviceAt } from './find-service.ts';
import { isAgentPort } from './ports.ts';
import { isPod, targetOf, throughTunnel } from './target.ts';
import type { Target } from './target.ts';

/** What decisions look at in the workload that connects; any `Workload` is one. */
export type Source = Pick<
  Workload,
  'uid' | 'namespace' | 'node' | 'cluster' | 'locality' | 'addresses'
>;

export interface Destination {
  /** Canonical text. */
  readonly address: string;
  readonly port: number;
}

export type Route =
  | {
      readonly kind: 'direct';
      readonly reason: string;
      /** Known only where a service asks for its original destination. */
      readonly service: Service | undefined;
    }
  | {
      readonly kind: 'refuse';
      readonly code: ErrorCode;
      readonly reason: string;
      readonly service: Service | undefined;
    }
  | {
      readonly kind: 'endpoints';
      readonly reason: string;
      readonly service: Service | undefined;
      /** Picks an endpoint whose `workload.uid` is not in `tried`; undefined when none is left. */
      choose(state: BalanceState, tried: ReadonlySet<string>): Target | undefined;
    };

/** Decides about a connection of `source`, undefined while its own record is not known. */
export function route(view: View, source: Source | undefined, destination: Destination): Route {
  const { address, port } = destination;
  const own = isLoopback(address) || source?.addresses.includes(address) === true;
  if (own && isAgentPort(port)) {
    return refuse('LOOP_REFUSED', `port ${port} at ${address} is the agent's own`);
  }
  if (source === undefined) {
    return refuse('UNKNOWN_SOURCE', 'the workload that connects is not known yet');
  }
  const exact = serviceAt(view, source.namespace, address, 'exact');
  const workload = view.workloadAt(address);
  if (exact !== undefined && !(workload !== undefined && yields(exact, workload, source))) {
    return toService(view, source, { service: exact, destination });
  }
  if (workload !== undefined) return toWorkload(workload, destination);
  const block = serviceAt(view, source.namespace, address, 'block');
  if (block !== undefined) return toService(view, source, { service: block, destination });
  return direct(`nothing in the mesh has the address ${address}`, undefined);
}

/**
 * Whether a service leaves its address to the workload that has it. Who may write a ServiceEntry must
 * not take the address of a pod away from other namespaces, nor turn the way to a pod of the mesh
 * into one in clear.
 */
function yields(service: Service, workload: Workload, source: Source): boolean {
  if (service.canonical || !isPod(workload)) return false;
  const isForeign = service.namespace !== source.namespace;
  const isInClear = service.loadBalancing.mode === 'passthrough' && workload.tunnel === 'hbone';
  return isForeign || isInClear;
}

function toService(
  view: View,
  source: Source,
  to: { readonly service: Service; readonly destination: Destination },
): Route {
  const { service, destination } = to;
  const where = `${service.hostname}:${destination.port}`;
  if (service.loadBalancing.mode === 'passthrough') {
    return direct(`${service.hostname} asks for the original destination`, service);
  }
  const port = service.ports.find((one) => one.port === destination.port);
  if (port === undefined) {
    const reason = `${service.hostname} has no port ${destination.port}`;
    return refuse('NO_HEALTHY_ENDPOINT', reason, service);
  }
  return {
    kind: 'endpoints',
    reason: `${formatEndpoint(destination.address, destination.port)} is ${where}`,
    service,
    choose: (state, tried) => {
      const picked = pickEndpoint(view, state, { source, destination, service, port, tried });
      return picked === undefined ? undefined : throughTunnel(view, picked, picked.address);
    },
  };
}

function toWorkload(workload: Workload, destination: Destination): Route {
  return {
    kind: 'endpoints',
    reason: `${destination.address} is ${workload.namespace}/${workload.name}`,
    service: undefined,
    choose: (_state, tried) =>
      tried.has(workload.uid)
        ? undefined
        : targetOf({ workload, address: destination.address, port: destination.port }),
  };
}

function direct(reason: string, service: Service | undefined): Route {
  return { kind: 'direct', reason, service };
}

function refuse(code: ErrorCode, reason: string, service?: Service): Route {
  return { kind: 'refuse', code, reason, service };
}

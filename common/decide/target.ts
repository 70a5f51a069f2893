/**
 * One endpoint, ready to be connected to: where, how, and who must answer.
 */
import { familyOf } from '../address.ts';
import type { Identity } from '../identity.ts';
import { identityOf, parseIdentity } from '../identity.ts';
import type { Service } from '../mesh/service.ts';
import type { View } from '../mesh/view.ts';
import type { TunnelProtocol, Workload } from '../mesh/workload.ts';

export interface Target {
  /** Canonical text; '' when `hostname` must be resolved first. */
  readonly address: string;
  readonly hostname: string;
  /** The application's port. With `hbone` the tunnel goes to port 15008 and names this one. */
  readonly port: number;
  readonly tunnel: TunnelProtocol;
  readonly workload: Workload;
  readonly service: Service | undefined;
  /** Identities of which the peer must show one; empty without a tunnel. */
  readonly expected: readonly Identity[];
}

/** Makes the target for a workload, at `address` if that is one of its own, else in its family. */
export function targetOf(to: {
  readonly workload: Workload;
  readonly address: string;
  readonly port: number;
  readonly service?: Service;
}): Target {
  const { workload, service } = to;
  const address = addressFor(workload, to.address);
  return {
    address,
    hostname: address === '' ? workload.hostname : '',
    port: to.port,
    tunnel: workload.tunnel,
    workload,
    service,
    expected: workload.tunnel === 'hbone' ? expectedIdentities(workload, service) : [],
  };
}

/**
 * The same target, reached through the tunnel if `address` belongs to a pod of the mesh after all: an
 * endpoint that was written by hand, or a name that resolves to a pod, must not lead there in clear.
 */
export function throughTunnel(view: View, target: Target, address: string): Target {
  if (target.tunnel === 'hbone' || address === '') return target;
  const pod = view.workloadAt(address);
  if (pod?.tunnel !== 'hbone' || !isPod(pod)) return target;
  return { ...target, tunnel: 'hbone', expected: expectedIdentities(pod, target.service) };
}

export function isPod({ uid }: Pick<Workload, 'uid'>): boolean {
  return uid.includes('//Pod/');
}

export function workloadIdentity(workload: Workload): Identity {
  return identityOf(workload.trustDomain, workload.namespace, workload.serviceAccount);
}

function addressFor({ addresses }: Workload, asked: string): string {
  if (addresses.includes(asked)) return asked;
  const family = familyOf(asked);
  return addresses.find((address) => familyOf(address) === family) ?? addresses[0] ?? '';
}

/** A name that is no identity is left out: the list may get narrower by it, never wider. */
function expectedIdentities(workload: Workload, service: Service | undefined): readonly Identity[] {
  const own = workloadIdentity(workload);
  const also = (service?.subjectAltNames ?? [])
    .map((name) => parseIdentity(name))
    .filter((name) => name !== undefined);
  return Array.from(new Set([own, ...also]));
}

/**
 * A unit of a predecessor, taken up: everything is made anew around its descriptors.
 *
 * Until `goOn` nothing has been read or written, so that the predecessor may still keep it; `release`
 * then closes what is here without a word to anybody.
 */
import { closeFd } from '#common/sys/libc.ts';
import { acceptOutbound } from './accept-outbound.ts';
import { ClientTunnel } from './client-tunnel.ts';
import { Flow } from './flow.ts';
import { Given } from './handover-state.ts';
import type { ConnectionState, FlowState, Unit } from './handover-state.ts';
import { InboundStream } from './inbound.ts';
import type { GivenUnit } from './messages.ts';
import { Outbound } from './outbound.ts';
import { acceptPlain, Passthrough } from './passthrough.ts';
import type { Pod } from './pod.ts';
import { restoreServed } from './served-tunnel.ts';
import type { Served } from './served-tunnel.ts';

export interface TakenUnit {
  readonly goOn: () => void;
  readonly release: () => void;
}

type Tunnel = ClientTunnel | Served | undefined;

/** Throws when the unit is not what its types say; then all of its descriptors are closed. */
export function takeUnit(
  pod: Pod,
  unit: Unit,
  { descriptors, bytes }: Omit<GivenUnit, 'state'>,
): TakenUnit {
  const given = new Given(pod.shared.loop, descriptors, bytes);
  const parts: TakenUnit[] = [];
  try {
    const tunnel = takeTunnel(pod, unit, given);
    for (const state of unit.connections) parts.push(takeConnection(pod, state, given, tunnel));
    if (tunnel !== undefined) parts.push(partOf(tunnel));
  } catch (error) {
    for (const fd of descriptors) {
      pod.shared.loop.remove(fd);
      closeFd(fd);
    }
    throw error;
  }
  return {
    goOn: () => {
      for (const part of parts) part.goOn();
    },
    release: () => {
      for (const part of parts) part.release();
    },
  };
}

function takeTunnel(pod: Pod, { tunnel }: Unit, given: Given): Tunnel {
  if (tunnel === null) return undefined;
  const fd = given.fd(tunnel.fd);
  return tunnel.kind === 'client tunnel'
    ? new ClientTunnel(pod, tunnel.hop, { state: tunnel, fd })
    : restoreServed(pod, tunnel, fd);
}

function takeConnection(pod: Pod, state: ConnectionState, given: Given, tunnel: Tunnel): TakenUnit {
  switch (state.kind) {
    case 'anew': {
      const fd = given.fd(state.fd);
      const accept = state.service === 'outbound' ? acceptOutbound : acceptPlain;
      return { goOn: () => accept(pod, fd), release: () => void closeFd(fd) };
    }
    case 'outbound': {
      const through = tunnel instanceof ClientTunnel ? tunnel : undefined;
      const fd = given.fd(state.client.fd);
      const outbound = new Outbound(pod, fd, state.destination, flowOf(pod, state.flow));
      outbound.restore(state, given, through);
      return partOf(outbound);
    }
    case 'inbound': {
      if (tunnel === undefined || tunnel instanceof ClientTunnel) {
        throw new TypeError('Cannot go on with a stream: it has no tunnel');
      }
      const stream = tunnel.streamOf(state.relay.stream);
      const inbound = new InboundStream(
        pod,
        { tunnel, stream, ...tunnel.ends },
        flowOf(pod, state.flow),
      );
      inbound.restore(state, given);
      return partOf(inbound);
    }
    case 'passthrough':
    default: {
      const flow = flowOf(pod, state.flow);
      const ends = { source: flow.source, destination: state.destination };
      const passthrough = new Passthrough(pod, given.fd(state.client.fd), ends, flow);
      passthrough.restore(state, given);
      return partOf(passthrough);
    }
  }
}

function flowOf({ shared, plan }: Pod, state: FlowState): Flow {
  return Flow.restored(shared.flows, shared.view, plan.podUid, state);
}

function partOf(part: { goOn?(): void; release(): void }): TakenUnit {
  return { goOn: () => part.goOn?.(), release: () => part.release() };
}

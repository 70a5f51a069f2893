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

/** Throws when it cannot go on after all; then all of its descriptors are closed. */
export function takeUnit(
  pod: Pod,
  unit: Unit,
  { descriptors, bytes }: Omit<GivenUnit, 'state'>,
): TakenUnit {
  const given = new Given(pod.shared.loop, descriptors, bytes);
  const parts: TakenUnit[] = [];
  let tunnel: Tunnel;
  const release = (): void => {
    for (const part of parts) part.release();
    tunnel?.release();
  };
  try {
    tunnel = takeTunnel(pod, unit, given);
    for (const state of unit.connections) takeConnection(pod, state, { given, tunnel, parts });
  } catch (error) {
    release();
    for (const fd of given.left()) closeFd(fd);
    throw error;
  }
  return {
    goOn: () => {
      for (const part of parts) part.goOn();
      tunnel?.goOn();
    },
    release,
  };
}

function takeTunnel(pod: Pod, { tunnel }: Unit, given: Given): Tunnel {
  if (tunnel === null) return undefined;
  const fd = given.fd(tunnel.fd);
  const taken =
    tunnel.kind === 'client tunnel'
      ? new ClientTunnel(pod, tunnel.hop, { state: tunnel, fd })
      : restoreServed(pod, tunnel, fd);
  given.own(tunnel.fd);
  return taken;
}

interface Around {
  readonly given: Given;
  readonly tunnel: Tunnel;
  /** A connection is one of them as soon as it has its descriptor, so that it is released with it. */
  readonly parts: TakenUnit[];
}

function takeConnection(pod: Pod, state: ConnectionState, { given, tunnel, parts }: Around): void {
  switch (state.kind) {
    case 'anew': {
      const fd = given.fd(state.fd);
      given.own(state.fd);
      const accept = state.service === 'outbound' ? acceptOutbound : acceptPlain;
      parts.push({ goOn: () => accept(pod, fd), release: () => void closeFd(fd) });
      break;
    }
    case 'outbound': {
      const through = tunnel instanceof ClientTunnel ? tunnel : undefined;
      const fd = given.fd(state.client.fd);
      const outbound = new Outbound(pod, fd, state.destination, flowOf(pod, state.flow));
      given.own(state.client.fd);
      parts.push(partOf(outbound));
      outbound.restore(state, given, through);
      break;
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
      parts.push(partOf(inbound));
      inbound.restore(state, given);
      break;
    }
    case 'passthrough':
    default: {
      const flow = flowOf(pod, state.flow);
      const ends = { source: flow.source, destination: state.destination };
      const passthrough = new Passthrough(pod, given.fd(state.client.fd), ends, flow);
      given.own(state.client.fd);
      parts.push(partOf(passthrough));
      passthrough.restore(state, given);
    }
  }
}

function flowOf({ shared, plan }: Pod, state: FlowState): Flow {
  return Flow.restored(shared.flows, shared.view, plan.podUid, state);
}

function partOf(part: { goOn?(): void; release(): void }): TakenUnit {
  return { goOn: () => part.goOn?.(), release: () => part.release() };
}

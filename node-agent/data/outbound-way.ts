/**
 * The way of an outbound connection to its far side, handed to a successor and taken up there.
 *
 * It moves as it is once something has been asked of the far side: a request whose answer is awaited,
 * or a relay. Before that there is no way, and the connection begins anew.
 */
import type { TcpOwner, TcpSocket } from '#common/engine/tcp.ts';
import type { ClientTunnel } from './client-tunnel.ts';
import type { Flow } from './flow.ts';
import type { Descriptors, Given, WayState } from './handover-state.ts';
import type { PlainAttempt } from './plain-attempt.ts';
import { PlainRelay } from './plain-relay.ts';
import type { RelayOwner } from './plain-relay.ts';
import type { Pod } from './pod.ts';
import { StreamRelay } from './stream-relay.ts';
import { TunnelAttempt } from './tunnel-attempt.ts';
import type { AttemptOwner } from './tunnel-attempt.ts';

/** Undefined when there is no way yet. */
export function wayState(
  relay: PlainRelay | StreamRelay | undefined,
  attempt: TunnelAttempt | PlainAttempt | undefined,
  descriptors: Descriptors,
): WayState | 'failed' | undefined {
  if (relay instanceof StreamRelay) return { kind: 'tunnel', relay: relay.state() };
  if (relay === undefined) return attempt instanceof TunnelAttempt ? attempt.state() : undefined;
  const server = relay.serverState(descriptors);
  return server === undefined ? 'failed' : { kind: 'plain', server };
}

export interface WayDeps {
  readonly pod: Pod;
  readonly client: TcpSocket;
  readonly flow: Flow;
  readonly owner: TcpOwner & AttemptOwner & RelayOwner;
  readonly given: Given;
}

/** `tunnel` is the one that the way leads through, if it is none in clear. */
export function goOn(
  way: WayState,
  { pod, client, flow, owner, given }: WayDeps,
  tunnel: ClientTunnel | undefined,
): PlainRelay | StreamRelay | TunnelAttempt {
  const { loop } = pod.shared;
  if (way.kind === 'plain') {
    return new PlainRelay(loop, flow, { client, server: given.socket(way.server, owner) }, owner);
  }
  if (tunnel === undefined) throw new TypeError('Cannot go on with a stream: no tunnel');
  if (way.kind === 'asked') {
    const attempt = new TunnelAttempt(pod, tunnel.hop, owner);
    attempt.restore(tunnel, { stream: tunnel.streamOf(way.stream), authority: way.authority });
    return attempt;
  }
  const { stage } = tunnel;
  const stream = tunnel.streamOf(way.relay.stream);
  const relay = new StreamRelay({ loop, stage, stream, socket: client, flow, owner });
  relay.restore(way.relay);
  return relay;
}

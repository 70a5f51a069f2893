/**
 * What a worker has open, cut into units that can move, and how a unit is let go.
 *
 * A tunnel moves with all of its streams or not at all: one that is in the middle of something stays,
 * with its streams, and is asked again a moment later. Nothing here changes what it describes.
 */
import { Descriptors } from './handover-state.ts';
import type { Bytes, ConnectionState, Unit } from './handover-state.ts';
import type { LiveConnection } from './live.ts';
import type { Pod } from './pod.ts';

/** A unit here, before it has gone. */
export interface OpenUnit {
  readonly unit: Unit;
  readonly descriptors: readonly number[];
  /** Somebody else goes on with it. */
  readonly release: () => void;
}

/** Everything of these pods that can move now. */
export function openUnits(pods: Iterable<Pod>, bytes: Bytes): OpenUnit[] {
  const units: OpenUnit[] = [];
  for (const pod of pods) {
    const { podUid } = pod.plan;
    const byTunnel = new Map<object, LiveConnection[]>();
    for (const connection of pod.shared.live.of(podUid)) {
      const { tunnel } = connection;
      const others = tunnel === undefined ? undefined : byTunnel.get(tunnel);
      if (others !== undefined) others.push(connection);
      else if (tunnel !== undefined) byTunnel.set(tunnel, [connection]);
      else add(units, unitOf(podUid, undefined, [connection], bytes));
    }
    for (const tunnel of [...pod.pool.tunnels(), ...pod.served]) {
      add(units, unitOf(podUid, tunnel, byTunnel.get(tunnel) ?? [], bytes));
    }
  }
  return units;
}

interface OpenTunnel {
  state(descriptors: Descriptors): Unit['tunnel'] | undefined;
  release(): void;
}

function unitOf(
  podUid: string,
  tunnel: OpenTunnel | undefined,
  connections: readonly LiveConnection[],
  bytes: Bytes,
): OpenUnit | undefined {
  const descriptors = new Descriptors(bytes);
  const tunnelState = tunnel === undefined ? null : tunnel.state(descriptors);
  if (tunnelState === undefined) return undefined;
  const states: ConnectionState[] = [];
  for (const connection of connections) {
    const state = connection.state(descriptors);
    if (state === undefined) return undefined;
    states.push(state);
  }
  // A stream that nobody here speaks for could not be told of, and would be lost.
  const spokenFor = states.filter(isOpenStream).length;
  if (tunnelState !== null && tunnelState.session.table.streams.length !== spokenFor) {
    return undefined;
  }
  return {
    unit: { podUid, tunnel: tunnelState, connections: states },
    descriptors: descriptors.list,
    release: () => {
      for (const connection of connections) connection.release();
      tunnel?.release();
    },
  };
}

function isOpenStream(state: ConnectionState): boolean {
  if (state.kind === 'inbound') return !state.relay.stream.closed;
  if (state.kind !== 'outbound' || state.way.kind === 'plain') return false;
  const { way } = state;
  return !(way.kind === 'asked' ? way.stream : way.relay.stream).closed;
}

function add(units: OpenUnit[], unit: OpenUnit | undefined): void {
  if (unit !== undefined) units.push(unit);
}

/**
 * The door for what a predecessor hands over: the text of a unit in, a unit that can be taken up out.
 *
 * Whoever wrote it runs as the same user, so this is no defence against an attacker. It is one against
 * a fault of ours, or a release that wrote something else: a unit of which not every field is as it
 * should be, or whose parts do not belong together, throws `HANDOVER_FAILED`, and nothing of it is
 * used. Messages name the field and quote no secret.
 */
import { decodeText } from '#common/control/decode.ts';
import { peerIdentity } from '#common/engine/tls-peer.ts';
import { MeshError } from '#common/errors.ts';
import type { StreamState } from '#common/hbone/session-state.ts';
import { unitSchema } from './handover-schema.ts';
import type { ConnectionState, SocketState, Unit } from './handover-state.ts';

/** A tunnel with all that may be queued, and its streams. */
const MOST_CHARACTERS = 32 << 20;
const SECRET_BYTES = { 'aes-128-gcm': 32, 'aes-256-gcm': 48 } as const;

/** What came beside the text. */
export interface Beside {
  readonly descriptors: number;
  /** Length of the file with what sockets had queued. */
  readonly bytes: number;
}

export function decodeUnit(state: string, beside: Beside): Unit {
  const unit = readUnit(state);
  checkBeside(unit, beside);
  checkTunnel(unit);
  checkStreams(unit);
  return unit;
}

function readUnit(state: string): Unit {
  try {
    return decodeText(state, { what: 'it', decoder: unitSchema, maxLength: MOST_CHARACTERS });
  } catch (cause) {
    if (!(cause instanceof MeshError)) throw cause;
    throw refusal(cause.message.replace('Cannot read it: ', ''));
  }
}

/** Each descriptor has one place in the unit, and what is queued lies in the file. */
function checkBeside({ tunnel, connections }: Unit, { descriptors, bytes }: Beside): void {
  const places = [...(tunnel === null ? [] : [tunnel.fd]), ...connections.flatMap(placesOf)];
  if (places.length !== descriptors || new Set(places).size !== descriptors) {
    throw refusal(`it has ${descriptors} descriptors for ${places.length} places`);
  }
  if (places.some((place) => place >= descriptors)) throw refusal('a descriptor is not there');
  for (const { queuedAt, queued } of connections.flatMap(socketsOf)) {
    if (queuedAt + queued > bytes)
      throw refusal('the bytes that a socket had queued are not there');
  }
}

function checkTunnel({ tunnel, connections }: Unit): void {
  if (tunnel === null) {
    if (connections.length !== 1) throw refusal('without a tunnel it is not one connection');
    return;
  }
  const { tls, session, peer } = tunnel;
  const role = tunnel.kind === 'client tunnel' ? 'client' : 'server';
  if (tls.role !== role || session.role !== role) throw refusal(`a ${tunnel.kind} is no ${role}`);
  if (peerIdentity(tls.peer) !== peer) throw refusal('the peer is not who its certificate names');
  if (tunnel.kind === 'client tunnel' && !tunnel.hop.expected.includes(peer)) {
    throw refusal('the peer of the tunnel is not one that was expected');
  }
  for (const secret of [tls.sendSecret, tls.receiveSecret]) {
    if (Buffer.from(secret, 'base64').length !== SECRET_BYTES[tls.suite]) {
      throw refusal('a secret is not as long as its suite wants');
    }
  }
  const { reader } = session;
  if (reader.reading === 'frame' && Buffer.from(reader.collected, 'base64').length > reader.left) {
    // `left` is the length of the frame at hand, and does not fall while it is collected.
    throw refusal('there is more of a frame than its length');
  }
}

/** Each open stream is spoken for by one connection, of the kind that belongs to the tunnel. */
function checkStreams({ tunnel, connections }: Unit): void {
  const open = new Set(tunnel?.session.table.streams.map(({ id }) => id));
  if (open.size !== (tunnel?.session.table.streams.length ?? 0))
    throw refusal('a stream is there twice');
  for (const connection of connections) {
    const stream = streamOf(connection);
    const needs = { inbound: 'served tunnel', outbound: 'client tunnel' } as const;
    const wanted =
      connection.kind === 'inbound' || (connection.kind === 'outbound' && stream !== undefined)
        ? needs[connection.kind]
        : undefined;
    if (wanted !== tunnel?.kind)
      throw refusal(`an ${connection.kind} connection has the wrong tunnel`);
    if (stream !== undefined && !stream.closed && !open.delete(stream.id)) {
      throw refusal("a connection has a stream that is not its tunnel's");
    }
  }
  if (open.size > 0) throw refusal('nobody speaks for a stream');
}

function streamOf(connection: ConnectionState): StreamState | undefined {
  if (connection.kind === 'inbound') return connection.relay.stream;
  if (connection.kind !== 'outbound' || connection.way.kind === 'plain') return undefined;
  const { way } = connection;
  return way.kind === 'asked' ? way.stream : way.relay.stream;
}

function socketsOf(connection: ConnectionState): SocketState[] {
  switch (connection.kind) {
    case 'outbound': {
      const { client, way } = connection;
      return way.kind === 'plain' ? [client, way.server] : [client];
    }
    case 'inbound':
      return [connection.app];
    case 'passthrough':
      return [connection.client, connection.server];
    case 'anew':
    default:
      return [];
  }
}

function placesOf(connection: ConnectionState): number[] {
  if (connection.kind === 'anew') return [connection.fd];
  return socketsOf(connection).map(({ fd }) => fd);
}

function refusal(found: string): MeshError {
  return new MeshError('HANDOVER_FAILED', `Cannot take up a unit of a hand-over: ${found}`);
}

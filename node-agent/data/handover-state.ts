/**
 * Everything that a data worker hands to its successor, as plain data.
 *
 * A unit is what must move together: a tunnel with all its streams and their sockets, or one
 * connection without a tunnel. Descriptors go beside it; where one belongs, its place in the unit's
 * list stands. Workloads and services are named and looked up anew. Units hold traffic secrets: they
 * go to the agent's own successor and nowhere else. Whoever changes a type here, or in the state
 * types of `common/`, counts `STATE_FORMAT` up.
 */
import type { TcpOwner, TcpSocket, TcpState } from '#common/engine/tcp.ts';
import { TcpSocket as Socket } from '#common/engine/tcp.ts';
import type { Loop } from '#common/engine/loop.ts';
import type { TlsState } from '#common/engine/tls-state.ts';
import type { SessionState, StreamState } from '#common/hbone/session-state.ts';
import type { Identity } from '#common/identity.ts';
import type { TunnelProtocol } from '#common/mesh/workload.ts';
import { readMemoryFile } from '#common/sys/memory-file.ts';
import type { Endpoint } from '#common/sys/sockaddr.ts';
import * as limits from './limits.ts';
import type { ConnectionRecord, Direction, Security } from './record.ts';

export const STATE_FORMAT = 1;

export interface EndState extends Endpoint {
  /** Uid of its workload; '' when none is known. */
  readonly uid: string;
  readonly identity: string;
}

export interface FlowState {
  readonly direction: Direction;
  readonly source: EndState;
  readonly destination: EndState;
  readonly service: string;
  readonly hboneAddress: string;
  readonly traceId: string;
  readonly security: Security;
  readonly policy: string;
  readonly rule: string;
  readonly nearMiss: string;
  readonly audits: ConnectionRecord['audits'];
  readonly retries: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly start: number;
  readonly elapsedMs: number;
  readonly version: number;
  /** It was counted as opened, which is not done twice. */
  readonly isOpen: boolean;
}

export interface SocketState {
  /** Which of the unit's descriptors. */
  readonly fd: number;
  readonly tcp: TcpState;
  /** Where what it has queued stands among the worker's bytes. */
  readonly queuedAt: number;
  readonly queued: number;
}

export interface RelayState {
  readonly stream: StreamState;
  readonly owed: number;
  readonly localEnded: boolean;
  readonly remoteEnded: boolean;
}

export interface TargetState {
  readonly uid: string;
  readonly service: string;
  readonly address: string;
  readonly hostname: string;
  readonly port: number;
  readonly tunnel: TunnelProtocol;
  readonly expected: readonly Identity[];
}

/** How an outbound connection goes on its way. */
export type WayState =
  /** The answer to its CONNECT has not come. */
  | { readonly kind: 'asked'; readonly stream: StreamState; readonly authority: string }
  | { readonly kind: 'tunnel'; readonly relay: RelayState }
  | { readonly kind: 'plain'; readonly server: SocketState };

export interface OutboundState {
  readonly kind: 'outbound';
  readonly flow: FlowState;
  readonly client: SocketState;
  readonly destination: Endpoint;
  readonly target: TargetState | null;
  readonly tried: readonly string[];
  readonly countedAt: string;
  readonly way: WayState;
}

export interface ArrivalState {
  readonly identity: Identity | null;
  readonly sourceAddress: string;
  readonly destinationAddress: string;
  readonly destinationPort: number;
}

/** A stream that others have opened to a pod. */
export interface InboundState {
  readonly kind: 'inbound';
  readonly flow: FlowState;
  readonly arrival: ArrivalState;
  readonly app: SocketState;
  readonly earlyBytes: number;
  readonly earlyEnd: boolean;
  /** A stream alone: the application has not accepted yet. */
  readonly relay: RelayState | { readonly stream: StreamState };
}

export interface PassthroughState {
  readonly kind: 'passthrough';
  readonly flow: FlowState;
  readonly arrival: ArrivalState;
  readonly destination: Endpoint;
  readonly client: SocketState;
  readonly server: SocketState;
}

/** Nothing has been read from it: it is taken as if it had just been accepted. */
export interface AnewState {
  readonly kind: 'anew';
  readonly service: 'outbound' | 'inbound';
  readonly fd: number;
}

export type ConnectionState = OutboundState | InboundState | PassthroughState | AnewState;

interface TunnelState {
  readonly fd: number;
  readonly tls: TlsState;
  readonly session: SessionState;
  readonly peer: Identity;
  /** The roots under which it was opened, PEM. */
  readonly roots: readonly string[];
  readonly isRetired: boolean;
}

export interface ClientTunnelState extends TunnelState {
  readonly kind: 'client tunnel';
  readonly hop: {
    readonly identity: Identity;
    readonly expected: readonly Identity[];
    readonly address: string;
    readonly port: number;
  };
}

export interface ServedTunnelState extends TunnelState {
  readonly kind: 'served tunnel';
  readonly source: Endpoint;
  readonly local: Endpoint;
}

export interface Unit {
  readonly podUid: string;
  readonly tunnel: ClientTunnelState | ServedTunnelState | null;
  /** Those of the tunnel; exactly one without. */
  readonly connections: readonly ConnectionState[];
}

/** What sockets have queued is megabytes at times: it goes as it is, behind one another, not as text. */
export class Bytes {
  readonly pieces: Buffer[] = [];
  #length = 0;

  /** Returns where the piece begins. */
  add(piece: Buffer): number {
    const at = this.#length;
    this.pieces.push(piece);
    this.#length += piece.length;
    return at;
  }
}

/** The descriptors of one unit while its state is written down. */
export class Descriptors {
  readonly list: number[] = [];
  readonly #bytes: Bytes;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  add(fd: number): number {
    return this.list.push(fd) - 1;
  }

  /** Undefined when the socket has failed: it ends where it is. */
  socket(socket: TcpSocket): SocketState | undefined {
    const tcp = socket.state();
    if (tcp === undefined) return undefined;
    const { queued } = socket;
    const queuedAt = queued === 0 ? 0 : this.#bytes.add(socket.queuedBytes());
    return { fd: this.add(socket.fd), tcp, queuedAt, queued };
  }
}

/** The descriptors of one unit where it is taken up. */
export class Given {
  readonly #loop: Loop;
  readonly #list: readonly number[];
  readonly #bytes: number;
  readonly #owned = new Set<number>();

  /** `bytes` is the file with what sockets had queued. */
  constructor(loop: Loop, list: readonly number[], bytes: number) {
    this.#loop = loop;
    this.#list = list;
    this.#bytes = bytes;
  }

  fd(index: number): number {
    const fd = this.#list[index];
    if (fd === undefined) throw new RangeError(`Cannot find descriptor ${index} of a unit`);
    return fd;
  }

  /** It is closed by what was made around it, from here on. */
  own(index: number): void {
    this.#owned.add(index);
  }

  /** Those around which nothing was made. */
  left(): number[] {
    return this.#list.filter((_, index) => !this.#owned.has(index));
  }

  /** What a socket had queued. */
  queued({ queuedAt, queued }: SocketState): Buffer {
    return readMemoryFile(this.#bytes, queuedAt, queued);
  }

  socket(state: SocketState, owner: TcpOwner): TcpSocket {
    const { fd, tcp } = state;
    const connecting = { target: tcp.connecting, timeoutMs: limits.CONNECT_TIMEOUT_MS };
    const isConnecting = tcp.connecting !== '';
    const socket = new Socket(
      this.#loop,
      this.fd(fd),
      owner,
      isConnecting ? connecting : undefined,
    );
    this.own(fd);
    socket.restore(tcp, this.queued(state));
    return socket;
  }
}

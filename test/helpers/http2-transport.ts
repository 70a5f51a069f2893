/**
 * Runs an HboneSession over a plain TCP socket, so that Node's own http2 can be its peer.
 *
 * What a session writes in one turn leaves in one write at the end of the turn, as with the engine.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';
import type { MeshError } from '../../common/errors.ts';
import { MeshError as Failure } from '../../common/errors.ts';
import type { ConnectRequest, InvalidRequest } from '../../common/hbone/headers.ts';
import type { Outlet } from '../../common/hbone/outlet.ts';
import { HboneSession, type SessionLimits, type SessionOwner } from '../../common/hbone/session.ts';
import type { Role } from '../../common/hbone/stream-table.ts';
import type { Stream } from '../../common/hbone/stream.ts';

const STAGE = 1 << 19;
const HIGH_WATER = 1 << 20;

/** The stage of one socket. */
export class SocketOutlet implements Outlet {
  bytes = Buffer.allocUnsafeSlow(STAGE);
  /** Bytes committed in all, and how often they left. */
  committed = 0;
  writes = 0;
  readonly #socket: Socket;
  #filled = 0;
  #scheduled = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get blocked(): boolean {
    return this.#socket.writableLength > HIGH_WATER;
  }

  reserve(length: number): number {
    if (this.#filled + length > this.bytes.length) this.flush();
    return this.#filled;
  }

  commit(length: number): void {
    this.#filled += length;
    this.committed += length;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.flush());
  }

  flush(): void {
    this.#scheduled = false;
    if (this.#filled === 0) return;
    const staged = Buffer.from(this.bytes.subarray(0, this.#filled));
    this.#filled = 0;
    this.writes += 1;
    if (!this.#socket.destroyed) this.#socket.write(staged);
  }
}

export interface Attached {
  readonly session: HboneSession;
  readonly outlet: SocketOutlet;
  readonly socket: Socket;
}

export interface AttachOptions {
  readonly role: Role;
  readonly owner: Partial<SessionOwner>;
  readonly limits?: Partial<SessionLimits>;
  readonly now?: () => number;
}

/** Joins a session to a socket; the socket ends after a session that died. */
export function attach(socket: Socket, options: AttachOptions): Attached {
  const outlet = new SocketOutlet(socket);
  const { owner } = options;
  const session = new HboneSession({
    role: options.role,
    outlet,
    now: options.now ?? (() => performance.now()),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    owner: {
      onReady: () => owner.onReady?.(),
      onRequest: (stream, request) => owner.onRequest?.(stream, request),
      onGoAway: (code) => owner.onGoAway?.(code),
      onIdle: () => owner.onIdle?.(),
      onRoom: () => owner.onRoom?.(),
      onError: (error) => {
        outlet.flush();
        socket.end();
        owner.onError?.(error);
      },
    },
  });
  socket.setNoDelay(true);
  socket.on('data', (chunk: Buffer) => session.receive(chunk, 0, chunk.length));
  socket.on('drain', () => session.onWritable());
  socket.on('error', () => undefined);
  socket.on('close', () => {
    session.lost(new Failure('TUNNEL_LOST', 'Cannot go on: the socket has closed'));
  });
  session.start();
  return { session, outlet, socket };
}

/** A server of ours on a free port. */
export async function listen(
  t: Test,
  onRequest: (stream: Stream, request: ConnectRequest | InvalidRequest) => void,
  options: Partial<AttachOptions> = {},
): Promise<{ port: number; sessions: Attached[]; errors: MeshError[] }> {
  const sessions: Attached[] = [];
  const errors: MeshError[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const owner = { onError: (error: MeshError) => void errors.push(error), ...options.owner };
    sessions.push(attach(socket, { ...options, role: 'server', owner: { onRequest, ...owner } }));
    socket.on('end', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const { socket } of sessions) socket.destroy();
    server.close();
  });
  return { port: portOf(server), sessions, errors };
}

/** A session of ours as the client of whoever listens on `port`. */
export async function dial(
  t: Test,
  port: number,
  options: Partial<AttachOptions> = {},
): Promise<Attached & { errors: MeshError[] }> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  t.after(() => socket.destroy());
  const errors: MeshError[] = [];
  const ready = Promise.withResolvers<void>();
  const owner = {
    onError: (error: MeshError) => {
      errors.push(error);
    },
    ...options.owner,
    onReady: () => {
      options.owner?.onReady?.();
      ready.resolve();
    },
  };
  const attached = attach(socket, { ...options, role: 'client', owner });
  socket.on('end', () => socket.end());
  await ready.promise;
  return { ...attached, errors };
}

export function portOf(server: Pick<Server, 'address'>): number {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server that listens has a port
  return (server.address() as AddressInfo).port;
}

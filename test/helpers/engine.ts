/**
 * What the engine's tests share: a loop that the test turns, owners that write down what they are
 * told, and connections to Node's own `tls`, the independent peer.
 */
import { once } from 'node:events';
import { connect as netConnect } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import tls from 'node:tls';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { Listener } from '#common/engine/listener.ts';
import { Loop } from '#common/engine/loop.ts';
import { TlsConnection } from '#common/engine/tls-connection.ts';
import { createTlsContext } from '#common/engine/tls-context.ts';
import type { TlsContext } from '#common/engine/tls-context.ts';
import type { TlsOptions, TlsOwner } from '#common/engine/tls-owner.ts';
import type { PeerCertificate } from '#common/engine/tls-peer.ts';
import type { MeshError } from '#common/errors.ts';
import { bind, closeFd, connect, listen, localOf, socket } from '#common/sys/libc.ts';
import { chainPem, makeAuthority, makeLeaf } from './pki.ts';
import type { Issued } from './pki.ts';

export const IDENTITY = 'spiffe://cluster.local/ns/shop/sa/cart';
const PATIENCE_MS = 10_000;

/** Made once: all tests of a file trust it. */
export const root = makeAuthority();
export const leaf = makeLeaf(root);

const errorsOf = new WeakMap<Loop, unknown[]>();

/** A loop that is closed with the test; `turn` fails when a handler threw. */
export function makeLoop(t: Test): Loop {
  const errors: unknown[] = [];
  const loop = new Loop({ onError: (error) => errors.push(error) });
  errorsOf.set(loop, errors);
  t.after(() => loop.close());
  return loop;
}

/** Turns the loop, and Node's own beside it, until something is true. */
export async function turn(loop: Loop, until: () => boolean, what = 'it'): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!until()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    loop.pass(1);
    const [error] = errorsOf.get(loop) ?? [];
    if (error !== undefined) throw new Error('a handler threw', { cause: error });
    await nextTurn();
  }
}

/** Writes down what it is told; what it is to send leaves as fast as the peer takes it. */
export class Recorder implements TlsOwner {
  judge: (peer: PeerCertificate) => boolean = () => true;
  peer: PeerCertificate | undefined;
  closed = 0;
  error: MeshError | undefined;
  readonly #received: Buffer[] = [];
  #length = 0;
  #toSend: Buffer = Buffer.alloc(0);
  #conn: TlsConnection | undefined;
  onSecured: () => void = () => undefined;

  get received(): Buffer {
    return Buffer.concat(this.#received);
  }

  get receivedBytes(): number {
    return this.#length;
  }

  get allSent(): boolean {
    return this.#toSend.length === 0;
  }

  use(conn: TlsConnection): TlsConnection {
    this.#conn = conn;
    return conn;
  }

  onSecure(peer: PeerCertificate): boolean {
    this.peer = peer;
    const accepted = this.judge(peer);
    if (accepted) this.onSecured();
    return accepted;
  }

  onPlain(bytes: Buffer, from: number, to: number): void {
    this.#received.push(Buffer.from(bytes.subarray(from, to)));
    this.#length += to - from;
  }

  onWritable(): void {
    this.#pump();
  }

  onClosed(error: MeshError | undefined): void {
    this.closed += 1;
    this.error = error;
  }

  send(bytes: Buffer): void {
    this.#toSend = Buffer.concat([this.#toSend, bytes]);
    this.#pump();
  }

  #pump(): void {
    const conn = this.#conn;
    if (conn === undefined) return;
    while (!conn.blocked && this.#toSend.length > 0) {
      const part = this.#toSend.subarray(0, 100_000);
      const at = conn.reserve(part.length);
      part.copy(conn.bytes, at);
      conn.commit(part.length);
      // Without this the last part would only be seen as blocked in a later pass.
      conn.flush();
      this.#toSend = this.#toSend.subarray(part.length);
    }
  }
}

export function contextOf(
  t: Test,
  issued: Issued = leaf,
  roots: readonly Issued[] = [root],
): TlsContext {
  const context = createTlsContext({
    chainPem: issued.pem,
    keyPem: issued.keyPem,
    rootsPem: roots.map(({ pem }) => pem),
  });
  t.after(() => context.dispose());
  return context;
}

/** A connected socket of ours to a port of this machine. */
export function dial(port: number): number {
  const fd = socket(4);
  connect(fd, '127.0.0.1', port);
  return fd;
}

export type Extra = Partial<Pick<TlsOptions, 'recordsPerKey' | 'handshakeTimeoutMs'>>;

export function openClient(
  loop: Loop,
  context: TlsContext,
  port: number,
  extra: Extra = {},
): { conn: TlsConnection; owner: Recorder } {
  const owner = new Recorder();
  const fd = dial(port);
  const base = { loop, fd, role: 'client', context, owner, handshakeTimeoutMs: 5000 } as const;
  return { owner, conn: owner.use(new TlsConnection({ ...base, ...extra })) };
}

/** A TLS server of ours; each connection gets a recorder, in the order of arrival. */
export function serve(
  t: Test,
  loop: Loop,
  context: TlsContext,
  extra: Extra & { readonly judge?: (peer: PeerCertificate) => boolean } = {},
): { port: number; conns: TlsConnection[]; owners: Recorder[] } {
  const fd = socket(4);
  bind(fd, '127.0.0.1', 0);
  listen(fd);
  const conns: TlsConnection[] = [];
  const owners: Recorder[] = [];
  const { judge = () => true, ...rest } = extra;
  const listener = new Listener(loop, fd, {
    onAccept: (accepted) => {
      const owner = new Recorder();
      owner.judge = judge;
      const base = { loop, fd: accepted, role: 'server', context, owner } as const;
      owners.push(owner);
      conns.push(owner.use(new TlsConnection({ ...base, handshakeTimeoutMs: 5000, ...rest })));
    },
  });
  t.after(() => {
    listener.close();
    for (const conn of conns) conn.destroy();
  });
  return { port: localOf(fd)?.port ?? 0, conns, owners };
}

/** Settings of `node:tls` for a peer of ours. */
export function nodeSettings(issued: Issued = leaf, ...chain: Issued[]): tls.SecureContextOptions {
  return {
    key: issued.keyPem,
    cert: chainPem(issued, ...chain),
    ca: root.pem,
    minVersion: 'TLSv1.3',
  };
}

/** A server of Node's; `onSocket` gets each connection. */
export async function nodeServer(
  t: Test,
  options: tls.TlsOptions,
  onSocket: (socket: tls.TLSSocket) => void,
): Promise<number> {
  const server = tls.createServer({ requestCert: true, rejectUnauthorized: true, ...options });
  const sockets: tls.TLSSocket[] = [];
  server.on('secureConnection', (made) => {
    sockets.push(made);
    made.on('error', () => undefined);
    onSocket(made);
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const made of sockets) made.destroy();
    server.close();
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
  return (server.address() as AddressInfo).port;
}

/** A client of Node's to a server of ours. */
export function nodeClient(t: Test, port: number, options: tls.ConnectionOptions): tls.TLSSocket {
  const made = tls.connect({
    host: '127.0.0.1',
    port,
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
    ...options,
  });
  t.after(() => {
    made.destroy();
  });
  return made;
}

/** A bare TCP connection of Node's. */
export function rawClient(t: Test, port: number): ReturnType<typeof netConnect> {
  const made = netConnect({ host: '127.0.0.1', port, noDelay: true });
  made.on('error', () => undefined);
  t.after(() => {
    made.destroy();
  });
  return made;
}

export { closeFd };

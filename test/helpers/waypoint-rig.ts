/**
 * A worker of the proxy as it runs in a waypoint, before servers of Node's: real sockets on both sides.
 */
import { once } from 'node:events';
import { createServer as createHttp, type RequestListener, type Server } from 'node:http';
import * as http2 from 'node:http2';
import { connect, createServer as createTcp, type AddressInfo, type Socket } from 'node:net';
import type { Test } from 'tap';
import { localOf } from '#common/sys/libc.ts';
import { openListener } from '../../waypoint/listeners.ts';
import type { Counters } from '../../waypoint/proxy/counters.ts';
import type { FromWorker } from '../../waypoint/proxy/messages.ts';
import { WorkerHost, type WorkerHostOptions } from '../../waypoint/proxy/worker-host.ts';

export interface Proxy {
  readonly port: number;
  readonly counters: Counters;
  readonly host: WorkerHost;
  /** What the worker has logged. */
  readonly logged: { readonly message: string }[];
}

export interface Backend {
  readonly port: number;
  readonly protocol?: 'http1' | 'http2';
}

/** All requests to these, in turn by weight, as one rule. */
export function routesTo(...backends: readonly Backend[]): string {
  return JSON.stringify([{ backends: backends.map(endpoint) }]);
}

export function endpoint({ port, protocol = 'http1' }: Backend): object {
  return { address: '127.0.0.1', port, protocol };
}

export async function startProxy(
  t: Test,
  routes: string,
  options: Partial<WorkerHostOptions> = {},
): Promise<Proxy> {
  const fd = openListener({ address: '127.0.0.1', port: 0 });
  const port = localOf(fd)?.port ?? 0;
  const ready = Promise.withResolvers<void>();
  const logged: Proxy['logged'] = [];
  const host = new WorkerHost({
    worker: 0,
    listeners: [fd],
    linkListener: undefined,
    linkOut: undefined,
    agentUid: 0,
    routes,
    onDeath: (cause) => ready.reject(new Error('the worker died', { cause })),
    ...options,
    onMessage: (message: FromWorker) => {
      if (message.kind === 'ready') ready.resolve();
      if (message.kind === 'log') logged.push(message);
      options.onMessage?.(message);
    },
  });
  t.after(() => host.stop());
  await ready.promise;
  return { port, counters: host.counters, host, logged };
}

/** A server of HTTP/1.1. */
export async function http1Backend(
  t: Test,
  onRequest: RequestListener,
): Promise<Server & { port: number }> {
  const server = createHttp({ keepAliveTimeout: 60_000 }, onRequest);
  return listening(t, server, () => server.closeAllConnections());
}

/** A server of HTTP/2 with prior knowledge. */
export async function http2Backend(
  t: Test,
  onStream: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
): Promise<{ port: number }> {
  const server = http2.createServer();
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    stream.on('error', () => undefined);
    onStream(stream, headers);
  });
  return listening(t, server, () => {
    for (const session of sessions) session.destroy();
  });
}

/** A server that says what the test lets it say. */
export async function rawBackend(
  t: Test,
  onConnection: (socket: Socket, nth: number) => void,
): Promise<{ port: number }> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createTcp((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    count += 1;
    onConnection(socket, count);
  });
  return listening(t, server, () => {
    for (const socket of sockets) socket.destroy();
  });
}

async function listening<S extends ReturnType<typeof createTcp> | http2.Http2Server>(
  t: Test,
  server: S,
  cut: () => void,
): Promise<S & { port: number }> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    cut();
    server.close();
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
  return Object.assign(server, { port: (server.address() as AddressInfo).port });
}

export interface Raw {
  readonly socket: Socket;
  send(text: string): void;
  /** All that has come. */
  text(): string;
  /** Resolves once what has come holds this so many times. */
  until(part: string, times?: number): Promise<string>;
  /** Resolves with all that came when the other side has ended; says whether it was a reset. */
  ended(): Promise<string>;
  isReset(): boolean;
}

const PATIENCE_MS = 30_000;

/** A client that writes bytes as the test spells them. */
export async function rawClient(t: Test, port: number): Promise<Raw> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  let text = '';
  let isReset = false;
  let isOver = false;
  const waiters = new Set<() => void>();
  const tell = (): void => {
    for (const waiter of waiters) waiter();
  };
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    tell();
  });
  socket.on('error', () => (isReset = true));
  socket.on('end', () => {
    isOver = true;
    tell();
  });
  socket.on('close', () => {
    isOver = true;
    tell();
  });
  await once(socket, 'connect');
  t.after(() => {
    socket.destroy();
  });
  const wait = async (isTrue: () => boolean, what: string): Promise<string> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const look = (): void => {
      if (isTrue()) resolve(text);
      else if (isOver) reject(new Error(`the connection ended before ${what}: "${text}"`));
    };
    const timer = setTimeout(() => reject(new Error(`no ${what} in "${text}"`)), PATIENCE_MS);
    waiters.add(look);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      waiters.delete(look);
    }
  };
  return {
    socket,
    send: (bytes) => void socket.write(Buffer.from(bytes.replaceAll('\n', '\r\n'), 'latin1')),
    text: () => text,
    until: async (part, times = 1) => wait(() => text.split(part).length > times, `"${part}"`),
    ended: async () => wait(() => isOver, 'end'),
    isReset: () => isReset,
  };
}

/** Resolves once something holds. */
export async function eventually(isTrue: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
}

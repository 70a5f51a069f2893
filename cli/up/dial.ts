/**
 * TCP connections and HTTP requests that begin in another network namespace.
 *
 * A socket stays for life where it was made. Node makes it inside `connect()` when the name is
 * resolved at once, so the whole of that call is done in the namespace; the rest is as usual.
 */
import { request } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { familyOf } from '#common/address.ts';
import { inNetns } from '#common/sys/netns.ts';

/** Begins to connect from the namespace behind `netns`; `address` is an IP address. */
export function dial(netns: number, address: string, port: number): Socket {
  const family = familyOf(address);
  return inNetns(netns, () =>
    connect({
      host: 'in-namespace.invalid',
      port,
      family,
      autoSelectFamily: false,
      lookup: (_host, _options, found) => found(null, address, family),
    }),
  );
}

/** Resolves once the connection stands; rejects with what the kernel said, or when `signal` fires. */
export async function connected(socket: Socket, signal: AbortSignal): Promise<void> {
  const done = Promise.withResolvers<void>();
  const giveUp = (): void => void socket.destroy(reasonOf(signal));
  socket.once('connect', done.resolve);
  socket.once('error', done.reject);
  socket.once('close', () => done.reject(new Error('the connection was closed')));
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();
  try {
    await done.promise;
  } finally {
    signal.removeEventListener('abort', giveUp);
    socket.off('error', done.reject);
    socket.on('error', () => {}); // Whoever goes on to use it listens for itself.
  }
}

export interface HttpCall {
  readonly netns: number;
  readonly address: string;
  readonly port: number;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** What is read of an answer; the rest is left. */
const MOST_BODY_BYTES = 16 << 20;

/** Makes one GET request on a connection of its own. */
export async function httpGet(call: HttpCall): Promise<HttpAnswer> {
  const done = Promise.withResolvers<HttpAnswer>();
  const socket = dial(call.netns, call.address, call.port);
  const giveUp = (): void => void socket.destroy(reasonOf(call.signal));
  socket.once('error', done.reject);
  call.signal.addEventListener('abort', giveUp, { once: true });
  if (call.signal.aborted) giveUp();
  const outgoing = request({
    createConnection: () => socket,
    host: call.address,
    port: call.port,
    path: call.path,
    headers: { connection: 'close', ...call.headers },
  });
  outgoing.once('error', done.reject);
  outgoing.once('response', (response) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const finish = (): void =>
      done.resolve({
        status: response.statusCode ?? 0,
        body: Buffer.concat(chunks).toString('utf8'),
      });
    response.on('error', done.reject);
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length > MOST_BODY_BYTES) finish();
    });
    response.on('end', finish);
  });
  outgoing.end();
  try {
    return await done.promise;
  } finally {
    call.signal.removeEventListener('abort', giveUp);
    socket.destroy();
  }
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('given up');
}

/** Node's own http2 as the peer, in both roles: it knows nothing of our code. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as http2 from 'node:http2';
import type { Test } from 'tap';
import { Echo } from './http2-streams.ts';
import { listen, portOf } from './http2-transport.ts';

export const CONNECT = { ':method': 'CONNECT', ':authority': '10.0.0.7:80' };
export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Node's client, connected to a port. */
export function nodeClient(t: Test, port: number): http2.ClientHttp2Session {
  const client = http2.connect(`http://127.0.0.1:${port}`);
  client.on('error', () => undefined);
  t.after(() => client.destroy());
  return client;
}

/** Node's server, which answers each CONNECT as the test says. */
export async function nodeServer(
  t: Test,
  onStream: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
  settings: http2.Settings = {},
): Promise<{ port: number; sessions: http2.ServerHttp2Session[] }> {
  const server = http2.createServer({ settings });
  const sessions: http2.ServerHttp2Session[] = [];
  server.on('session', (session) => sessions.push(session));
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    stream.on('error', () => undefined);
    onStream(stream, headers);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: portOf(server), sessions };
}

/** A server of ours that echoes; the outlet is known only once the socket is there. */
export async function echoServer(t: Test) {
  const server = await listen(t, (stream, request) => {
    const outlet = server.sessions.find(({ session }) => session.streams > 0)?.outlet;
    if ('invalid' in request || outlet === undefined) {
      stream.respond(400);
      return;
    }
    stream.respond(200, { baggage: 'k8s.namespace.name=shop' });
    stream.owner = new Echo(stream, outlet);
  });
  return server;
}

export function* pieces(bytes: Buffer): Iterable<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

export async function answer(stream: http2.ClientHttp2Stream): Promise<http2.IncomingHttpHeaders> {
  const { promise, resolve } = Promise.withResolvers<http2.IncomingHttpHeaders>();
  stream.once('response', resolve);
  return promise;
}

export async function read(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

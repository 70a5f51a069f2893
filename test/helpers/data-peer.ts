/**
 * An independent HBONE peer for tests, in both roles: Node's own TLS and HTTP/2 inside a pod's
 * network namespace.
 */
import { once } from 'node:events';
import { connect as connectHttp2, createSecureServer, type ClientHttp2Session } from 'node:http2';
import type { ClientHttp2Stream, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { familyOf } from '#common/address.ts';
import { socket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { authority } from './data-world.ts';
import { chainPem, type Issued, makeLeaf } from './pki.ts';

interface Test {
  after(undo: () => void | Promise<void>): void;
}

const TLS = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ALPNProtocols: ['h2'] } as const;

export interface PeerAt {
  readonly netns: number;
  readonly address: string;
  /** Whose certificate is shown; undefined for none. */
  readonly leaf: Issued | undefined;
}

export function leafOf(uri: string): Issued {
  return makeLeaf(authority, { uris: [uri] });
}

/** Opens a TLS connection to port 15008 at `address`, out of a namespace; rejects when refused. */
export async function openTls(t: Test, { netns, address, leaf }: PeerAt): Promise<TLSSocket> {
  const fd = inNetns(netns, () => socket(familyOf(address)));
  const tcp = new Socket({ fd, readable: true, writable: true });
  t.after(() => {
    tcp.destroy();
  });
  tcp.connect({ host: address, port: 15008 });
  await once(tcp, 'connect');
  const keys = leaf === undefined ? {} : { cert: chainPem(leaf), key: leaf.keyPem };
  const tls = connectTls({
    socket: tcp,
    ...TLS,
    ...keys,
    ca: authority.pem,
    // The name in a SPIFFE certificate is none that Node would look for.
    checkServerIdentity: () => undefined,
  });
  await once(tls, 'secureConnect');
  tls.on('error', () => {});
  return tls;
}

export async function openSession(t: Test, at: PeerAt): Promise<ClientHttp2Session> {
  const tls = await openTls(t, at);
  const session = connectHttp2('https://peer', { createConnection: () => tls });
  session.on('error', () => {});
  t.after(() => {
    session.destroy();
  });
  await once(session, 'remoteSettings');
  return session;
}

/**
 * Says how a peer takes us: 'accepted' once it has sent something, 'refused' when it cuts us off. A
 * client of TLS 1.3 is done before its certificate was judged, so the handshake alone says nothing;
 * and Node's HTTP/2 does not tell of an alert that comes then, so it is not used here.
 */
export async function introduce(t: Test, at: PeerAt): Promise<'accepted' | 'refused'> {
  const verdict = Promise.withResolvers<'accepted' | 'refused'>();
  try {
    const tls = await openTls(t, at);
    tls.once('close', () => verdict.resolve('refused'));
    tls.once('data', () => verdict.resolve('accepted'));
    if (tls.destroyed) return 'refused';
  } catch {
    return 'refused';
  }
  return verdict.promise;
}

export interface Answered {
  readonly stream: ClientHttp2Stream;
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** Sends a request and waits for the head of its answer. */
export async function request(
  session: ClientHttp2Session,
  headers: Record<string, string>,
): Promise<Answered> {
  const stream = session.request(headers, { endStream: headers[':method'] !== 'CONNECT' });
  stream.on('error', () => {});
  const [answer] = await once(stream, 'response');
  return { stream, status: Number(answer[':status']), headers: answer };
}

/** Resolves when a stream is gone, well or not. */
export async function closed(stream: ClientHttp2Stream): Promise<void> {
  const over = Promise.withResolvers<void>();
  stream.once('close', () => over.resolve());
  stream.resume();
  await over.promise;
}

export async function connectTo(session: ClientHttp2Session, to: string): Promise<Answered> {
  return request(session, { ':method': 'CONNECT', ':authority': to });
}

export interface PeerServer {
  readonly sessions: ServerHttp2Session[];
  readonly requests: Record<string, unknown>[];
}

/** Serves HBONE on port 15008 of a namespace as some other mesh would. */
export async function peerServer(
  t: Test,
  at: {
    readonly netns: number;
    readonly leaf: Issued;
    readonly maxStreams?: number;
    readonly onStream: (stream: ServerHttp2Stream) => void;
  },
): Promise<PeerServer> {
  const sessions: ServerHttp2Session[] = [];
  const requests: Record<string, unknown>[] = [];
  const server = createSecureServer({
    ...TLS,
    cert: chainPem(at.leaf),
    key: at.leaf.keyPem,
    ca: authority.pem,
    requestCert: true,
    rejectUnauthorized: true,
    settings: { maxConcurrentStreams: at.maxStreams ?? 200 },
  });
  server.on('session', (session) => {
    session.on('error', () => {});
    sessions.push(session);
  });
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {});
    requests.push({ ...headers });
    at.onStream(stream);
  });
  const listening = once(server, 'listening');
  inNetns(at.netns, () => server.listen({ port: 15008 }));
  await listening;
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { sessions, requests };
}

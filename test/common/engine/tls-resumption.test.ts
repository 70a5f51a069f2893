/**
 * S6, resumption confusion: there is no resumption. A server of ours gives no ticket, takes none that
 * another gave, and judges the certificate of every connection. Early data needs a ticket that was
 * taken, so there is none either.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { SecureContextOptions } from 'node:tls';
import { test } from 'tap';
import { peerIdentity } from '#common/engine/tls-peer.ts';
import {
  contextOf,
  leaf,
  makeLoop,
  nodeClient,
  nodeServer,
  nodeSettings,
  openClient,
  root,
  serve,
  turn,
} from '../../helpers/engine.ts';
import { makeAuthority, makeLeaf } from '../../helpers/pki.ts';

/** The type of a TLS record. */
const HANDSHAKE = 0x16;
const A = 'spiffe://cluster.local/ns/shop/sa/a';
const B = 'spiffe://cluster.local/ns/shop/sa/b';

test('a server of ours gives no ticket, however long a client waits for one', async (t) => {
  const loop = makeLoop(t);
  const server = serve(t, loop, contextOf(t));
  const client = nodeClient(t, server.port, nodeSettings());
  let tickets = 0;
  client.on('session', () => (tickets += 1));
  client.on('data', () => undefined);
  client.write('hello');
  await turn(loop, () => server.owners[0]?.receivedBytes === 5, 'the data');
  server.owners[0]?.send(Buffer.from('answer'));
  await turn(loop, () => client.bytesRead > 0, 'the answer');
  const end = performance.now() + 200;
  await turn(loop, () => performance.now() > end);
  t.equal(tickets, 0);
  t.notOk(client.isSessionReused());
});

test('a ticket of A on a connection of B is no use: the handshake is whole, and says B', async (t) => {
  const a = makeLeaf(root, { uris: [A] });
  const b = makeLeaf(root, { uris: [B] });
  // A server with the same certificate as ours, which does give tickets: the best an attacker has.
  const settings = { ...nodeSettings(leaf), ALPNProtocols: ['h2'] };
  const generous = await nodeServer(t, settings, (socket) => socket.write('x'));
  const first = nodeClient(t, generous, nodeSettings(a));
  first.resume();
  const [session] = await once(first, 'session');
  t.ok(Buffer.isBuffer(session) && session.length > 0, 'a ticket');
  // It is good where it comes from, so what follows is not refused for a mistake of the test's.
  const again = nodeClient(t, generous, { ...nodeSettings(b), session });
  await once(again, 'secureConnect');
  t.ok(again.isSessionReused());

  const loop = makeLoop(t);
  const server = serve(t, loop, contextOf(t));
  const client = nodeClient(t, server.port, { ...nodeSettings(b), session });
  await turn(loop, () => server.owners[0]?.peer !== undefined, 'the handshake');
  const peer = server.owners[0]?.peer;
  t.equal(peer === undefined ? undefined : peerIdentity(peer), B);
  t.notOk(client.isSessionReused());
  const expired = makeLeaf(root, { uris: [A], until: -1 });
  const late = nodeClient(t, server.port, { ...nodeSettings(expired), session });
  late.on('error', () => undefined);
  await turn(loop, () => server.owners[1]?.closed === 1, 'the refusal');
  t.match(server.owners[1]?.error?.message, /expired/, 'nor does it replace a certificate');
});

test('a client of ours takes no notice of the tickets that a server sends', async (t) => {
  const seen: boolean[] = [];
  const port = await nodeServer(t, { ...nodeSettings(), ALPNProtocols: ['h2'] }, (socket) => {
    seen.push(socket.isSessionReused());
    socket.write('hello');
  });
  const loop = makeLoop(t);
  const context = contextOf(t);
  for (let i = 0; i < 3; i += 1) {
    const { conn, owner } = openClient(loop, context, port);
    await turn(loop, () => owner.receivedBytes === 5, 'the data behind the tickets');
    conn.destroy();
  }
  t.strictSame(seen, [false, false, false]);
});

test('a ticket is no use after the bundle has changed', async (t) => {
  const old = makeLeaf(root, { uris: [A] });
  const settings = { ...nodeSettings(leaf), ALPNProtocols: ['h2'] };
  const generous = await nodeServer(t, settings, (socket) => socket.write('x'));
  const first = nodeClient(t, generous, nodeSettings(old));
  first.resume();
  const [session] = await once(first, 'session');
  const loop = makeLoop(t);
  const young = makeAuthority('young');
  const both = serve(t, loop, contextOf(t, leaf, [root, young]));
  nodeClient(t, both.port, { ...nodeSettings(old), session });
  await turn(
    loop,
    () => both.owners[0]?.peer !== undefined,
    'the handshake, while both are trusted',
  );
  const changed = serve(t, loop, contextOf(t, leaf, [young]));
  const late = nodeClient(t, changed.port, { ...nodeSettings(old), session });
  late.on('error', () => undefined);
  await turn(loop, () => changed.owners[0]?.closed === 1, 'the refusal');
  t.equal(changed.owners[0]?.peer, undefined);
  t.equal(changed.owners[0]?.error?.code, 'TLS_FAILURE');
});

test('early data is never taken: it is thrown away, or the connection ends', async (t) => {
  const loop = makeLoop(t);
  const server = serve(t, loop, contextOf(t));
  const hello = await helloOf(nodeSettings());
  // What claims to be early data: an encrypted record, as far as anybody can tell.
  const early = Buffer.concat([Buffer.from('1703030040', 'hex'), Buffer.alloc(64, 7)]);
  const rows = [
    { what: 'a hello as it was recorded is answered', bytes: hello, first: HANDSHAKE },
    { what: 'so is one that offers early data', bytes: withEarlyData(hello), first: HANDSHAKE },
    { what: 'early data', bytes: Buffer.concat([withEarlyData(hello), early]), first: undefined },
  ];
  for (const [i, { what, bytes, first }] of rows.entries()) {
    const raw = connect(server.port, '127.0.0.1');
    t.after(() => raw.destroy());
    let answer: Buffer | undefined;
    raw.on('error', () => undefined).on('data', (data: Buffer) => (answer ??= data));
    await once(raw, 'connect');
    raw.write(bytes);
    await turn(loop, () => answer !== undefined || server.owners[i]?.closed === 1, what);
    if (first !== undefined) t.equal(answer?.[0], first, what);
    const end = performance.now() + 100;
    await turn(loop, () => performance.now() > end);
    t.equal(server.owners[i]?.receivedBytes, 0);
    t.equal(server.owners[i]?.peer, undefined);
  }
});

/** The ClientHello that a client of Node's sends. */
async function helloOf(settings: SecureContextOptions): Promise<Buffer> {
  const listener = createServer();
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const at = listener.address();
  const port = typeof at === 'object' ? at?.port : undefined;
  const client = connectTls({
    host: '127.0.0.1',
    port: port ?? 0,
    ALPNProtocols: ['h2'],
    ...settings,
  });
  client.on('error', () => undefined);
  const [socket] = await once(listener, 'connection');
  const [bytes] = await once(socket, 'data');
  client.destroy();
  socket.destroy();
  listener.close();
  return bytes;
}

/** Adds an empty extension 42 at the end, and makes the three lengths around it right. */
function withEarlyData(hello: Buffer): Buffer {
  const longer = Buffer.concat([hello, Buffer.from('002a0000', 'hex')]);
  longer.writeUInt16BE(hello.readUInt16BE(3) + 4, 3);
  longer.writeUIntBE(hello.readUIntBE(6, 3) + 4, 6, 3);
  let at = 5 + 4 + 2 + 32;
  at += 1 + (hello[at] ?? 0);
  at += 2 + hello.readUInt16BE(at);
  at += 1 + (hello[at] ?? 0);
  longer.writeUInt16BE(hello.readUInt16BE(at) + 4, at);
  return longer;
}

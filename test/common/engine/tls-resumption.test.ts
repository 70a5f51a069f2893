/**
 * S6, resumption confusion: there is no resumption. A server of ours gives no ticket, takes none that
 * another gave, and judges the certificate of every connection. Early data needs a ticket that was
 * taken, so there is none either.
 */
import { once } from 'node:events';
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
import { makeLeaf } from '../../helpers/pki.ts';

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

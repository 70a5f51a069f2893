/** TLS connections of ours against Node's own `tls`, in both roles and with both suites. */
import { createHash, randomBytes } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { test } from 'tap';
import {
  contextOf,
  IDENTITY,
  leaf,
  makeLoop,
  nodeClient,
  nodeServer,
  nodeSettings,
  openClient,
  serve,
  turn,
} from '../../helpers/engine.ts';
import { makeAuthority } from '../../helpers/pki.ts';

const SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384'];
const BULK_BYTES = 8 << 20;

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

for (const suite of SUITES) {
  test(`TlsConnection echoes 8 MiB through a Node server under ${suite}`, async (t) => {
    const loop = makeLoop(t);
    let protocol: string | false | null = null;
    let cipher = '';
    const settings = { ...nodeSettings(), ciphers: suite, ALPNProtocols: ['h2'] };
    const port = await nodeServer(t, settings, (socket) => {
      protocol = socket.alpnProtocol;
      cipher = socket.getCipher().name;
      socket.pipe(socket);
    });
    const { conn, owner } = openClient(loop, contextOf(t), port);
    t.after(() => conn.destroy());
    const sent = randomBytes(BULK_BYTES);
    owner.onSecured = () => owner.send(sent);
    await turn(loop, () => owner.receivedBytes >= BULK_BYTES || owner.closed > 0, 'the echo');
    t.equal(owner.error, undefined);
    t.equal(sha256(owner.received), sha256(sent));
    t.equal(protocol, 'h2');
    t.equal(cipher, suite);
    t.strictSame(owner.peer?.uris, [IDENTITY]);
  });

  test(`TlsConnection serves a Node client 8 MiB each way under ${suite}`, async (t) => {
    const loop = makeLoop(t);
    const server = serve(t, loop, contextOf(t));
    const client = nodeClient(t, server.port, { ...nodeSettings(), ciphers: suite });
    const chunks: Buffer[] = [];
    let got = 0;
    client.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      got += chunk.length;
    });
    const up = randomBytes(BULK_BYTES);
    const down = randomBytes(BULK_BYTES);
    client.write(up);
    await turn(loop, () => server.owners[0]?.peer !== undefined, 'the handshake');
    const [owner] = server.owners;
    owner?.send(down);
    await turn(
      loop,
      () => (got >= BULK_BYTES && owner?.receivedBytes === BULK_BYTES) || owner?.closed === 1,
      'all bytes',
    );
    t.equal(owner?.error, undefined);
    t.equal(sha256(owner?.received ?? Buffer.alloc(0)), sha256(up));
    t.equal(sha256(Buffer.concat(chunks)), sha256(down));
    t.equal(client.getCipher().name, suite);
    t.strictSame(owner?.peer?.uris, [IDENTITY]);
    t.equal(owner?.peer?.fingerprint, sha256(leaf.der));
  });
}

test('TlsConnection prefers AES-128-GCM as a server, whatever the order of the client', async (t) => {
  const loop = makeLoop(t);
  const server = serve(t, loop, contextOf(t));
  const ciphers = 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256';
  const client = nodeClient(t, server.port, { ...nodeSettings(), ciphers });
  await turn(loop, () => server.owners[0]?.peer !== undefined, 'the handshake');
  await turn(loop, () => client.getCipher()?.name !== undefined, 'the cipher');
  t.equal(client.getCipher().name, 'TLS_AES_128_GCM_SHA256');
  t.equal(client.getProtocol(), 'TLSv1.3');
  t.equal(client.alpnProtocol, 'h2');
});

test('TlsConnection sends a single small message without delay, and many in one record', async (t) => {
  const loop = makeLoop(t);
  const chunks: string[] = [];
  const port = await nodeServer(t, { ...nodeSettings(), ALPNProtocols: ['h2'] }, (socket) =>
    socket.on('data', (chunk: Buffer) => chunks.push(chunk.toString())),
  );
  const { conn, owner } = openClient(loop, contextOf(t), port);
  t.after(() => conn.destroy());
  await turn(loop, () => owner.peer !== undefined, 'the handshake');
  for (const word of ['one ', 'two ', 'three']) {
    const at = conn.reserve(word.length);
    conn.bytes.write(word, at);
    conn.commit(word.length);
  }
  await turn(loop, () => chunks.length > 0, 'the message');
  t.strictSame(chunks, ['one two three'], 'what a pass has staged leaves as one record');
});

test('TlsConnection ends with close_notify, and Node sees an orderly end', async (t) => {
  const loop = makeLoop(t);
  let ended = false;
  let failed: Error | undefined;
  const port = await nodeServer(t, { ...nodeSettings(), ALPNProtocols: ['h2'] }, (socket) => {
    socket.on('end', () => (ended = true));
    socket.on('error', (error: Error) => (failed = error));
    socket.resume();
  });
  const { conn, owner } = openClient(loop, contextOf(t), port);
  owner.onSecured = () => {
    owner.send(Buffer.from('bye'));
    conn.end();
  };
  await turn(loop, () => owner.closed > 0 && ended, 'both ends');
  t.equal(owner.error, undefined);
  t.equal(owner.closed, 1);
  t.equal(failed, undefined);
});

test('TlsConnection takes close_notify for an end, with all that came before it', async (t) => {
  const loop = makeLoop(t);
  const server = serve(t, loop, contextOf(t));
  const client = nodeClient(t, server.port, nodeSettings());
  client.end('last words');
  client.resume();
  await turn(loop, () => server.owners[0]?.closed === 1, 'the end');
  t.equal(server.owners[0]?.error, undefined);
  t.equal(server.owners[0]?.received.toString(), 'last words');
});

test('TlsConnection calls a FIN without close_notify the loss of a tunnel', async (t) => {
  const loop = makeLoop(t);
  let peer: TLSSocket | undefined;
  const port = await nodeServer(t, { ...nodeSettings(), ALPNProtocols: ['h2'] }, (socket) => {
    peer = socket;
  });
  const { owner } = openClient(loop, contextOf(t), port);
  await turn(loop, () => owner.peer !== undefined && peer !== undefined, 'the handshake');
  peer?.destroy();
  await turn(loop, () => owner.closed > 0, 'the end');
  t.equal(owner.error?.code, 'TUNNEL_LOST');
});

test('TlsConnection tells a refused connect from a failed handshake', async (t) => {
  const loop = makeLoop(t);
  const { owner } = openClient(loop, contextOf(t), 1);
  await turn(loop, () => owner.closed > 0, 'the refusal');
  t.equal(owner.error?.code, 'CONNECT_FAILED');
  t.match(owner.error?.message, /ECONNREFUSED/);
});

test('TlsConnection refuses a peer with bad_certificate when its owner says so', async (t) => {
  const loop = makeLoop(t);
  const server = serve(t, loop, contextOf(t), { judge: () => false });
  const client = nodeClient(t, server.port, nodeSettings());
  let failure = '';
  client.on('error', (error: Error & { code?: string }) => (failure = error.code ?? ''));
  client.write('must not be seen');
  await turn(loop, () => failure !== '', 'the alert');
  t.equal(failure, 'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE');
  t.equal(server.owners[0]?.receivedBytes, 0);
  t.equal(server.owners[0]?.error?.code, 'TLS_FAILURE');
  t.equal(server.owners[0]?.closed, 1);
});

test('TlsConnection learns from an alert that the server has refused its certificate', async (t) => {
  const loop = makeLoop(t);
  const other = makeAuthority('other');
  const server = serve(t, loop, contextOf(t, leaf, [other]));
  const { owner } = openClient(loop, contextOf(t), server.port);
  await turn(loop, () => owner.closed > 0 && server.owners[0]?.closed === 1, 'the alert');
  t.ok(owner.peer, 'the client’s handshake was complete before');
  t.equal(owner.error?.code, 'TLS_FAILURE');
  t.strictSame(owner.error?.details, { alert: 'unknown_ca', side: 'peer' });
  t.match(
    server.owners[0]?.error?.message,
    /certificate verify failed \(self-signed|certificate verify failed \(unable/,
  );
});

/** Handshakes that are slow, cut, oversized, mutated or no TLS at all. */
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { test } from 'tap';
import type { Test } from 'tap';
import {
  contextOf,
  makeLoop,
  nodeSettings,
  openClient,
  rawClient,
  serve,
  turn,
} from '../../helpers/engine.ts';

/** A TLS client of Node's whose bytes pass through our hands on their way out. */
function clientThrough(t: Test, raw: Socket, pass: (chunk: Buffer) => void): tls.TLSSocket {
  const pipe = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      pass(chunk);
      done();
    },
  });
  raw.on('data', (chunk: Buffer) => pipe.push(chunk));
  raw.on('end', () => pipe.push(null));
  const settings = {
    ...nodeSettings(),
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  };
  const client = tls.connect({ socket: pipe, ...settings });
  client.on('error', () => undefined);
  t.after(() => {
    client.destroy();
  });
  return client;
}

test('TlsConnection completes a handshake that comes byte by byte', async (t) => {
  const loop = makeLoop(t);
  const server = serve(t, loop, contextOf(t));
  const raw = rawClient(t, server.port);
  const waiting: number[] = [];
  const client = clientThrough(t, raw, (chunk) => waiting.push(...chunk));
  client.write('after that');
  await turn(
    loop,
    () => {
      const next = waiting.shift();
      if (next !== undefined) raw.write(Buffer.from([next]));
      return server.owners[0]?.receivedBytes === 10;
    },
    'the handshake and the data behind it',
  );
  t.equal(server.owners[0]?.received.toString(), 'after that');
});

test('TlsConnection gives up on a handshake that does not go on', async (t) => {
  const loop = makeLoop(t);
  const server = serve(t, loop, contextOf(t), { handshakeTimeoutMs: 150 });
  rawClient(t, server.port);
  const half = rawClient(t, server.port);
  clientThrough(t, half, (chunk) => half.write(chunk.subarray(0, 100)));
  await turn(loop, () => server.owners.filter(({ closed }) => closed === 1).length === 2, 'both');
  for (const { error } of server.owners) {
    t.equal(error?.code, 'TLS_FAILURE');
    t.match(error?.message, /too slow/);
  }
});

test('TlsConnection gives up on a server that accepts and says nothing', async (t) => {
  const loop = makeLoop(t);
  const silent = createServer((socket) => socket.on('error', () => undefined));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
  const { port } = silent.address() as AddressInfo;
  const { owner } = openClient(loop, contextOf(t), port, { handshakeTimeoutMs: 150 });
  await turn(loop, () => owner.closed === 1, 'the time-out');
  t.equal(owner.error?.code, 'TLS_FAILURE');
});

const notTls: readonly (readonly [string, Buffer])[] = [
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['an HTTP/2 preface', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
  ['zeros', Buffer.alloc(64)],
  ['a record that is too long', Buffer.from([22, 3, 1, 0xff, 0xff, 1, 0, 0, 0])],
  ['an alert for a start', Buffer.from([21, 3, 1, 0, 2, 2, 40])],
  ['data for a start', Buffer.concat([Buffer.from([23, 3, 3, 0, 32]), randomBytes(32)])],
];

for (const [what, bytes] of notTls) {
  test(`TlsConnection refuses ${what} at once`, async (t) => {
    const loop = makeLoop(t);
    const server = serve(t, loop, contextOf(t));
    const raw = rawClient(t, server.port);
    raw.resume();
    raw.write(bytes);
    await turn(loop, () => server.owners[0]?.closed === 1, 'the refusal');
    t.equal(server.owners[0]?.error?.code, 'TLS_FAILURE');
    await turn(loop, () => raw.readableEnded || raw.destroyed, 'the end of the connection');
  });
}

test('TlsConnection refuses TLS 1.2', async (t) => {
  const loop = makeLoop(t);
  const server = serve(t, loop, contextOf(t));
  const settings = { ...nodeSettings(), minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
  const client = tls.connect({ host: '127.0.0.1', port: server.port, ...settings });
  let failure = '';
  client.on('error', (error: Error & { code?: string }) => (failure = error.code ?? ''));
  t.after(() => {
    client.destroy();
  });
  await turn(loop, () => server.owners[0]?.closed === 1 && failure !== '', 'the refusal');
  t.match(failure, /PROTOCOL_VERSION/);
});

test('TlsConnection refuses a client without h2, and takes one without ALPN', async (t) => {
  const loop = makeLoop(t);
  const server = serve(t, loop, contextOf(t));
  const settings = { host: '127.0.0.1', port: server.port, ...nodeSettings() };
  const options = { ...settings, checkServerIdentity: () => undefined };
  let failure = '';
  const http1 = tls.connect({ ...options, ALPNProtocols: ['http/1.1'] });
  http1.on('error', (error: Error & { code?: string }) => (failure = error.code ?? ''));
  await turn(loop, () => server.owners[0]?.closed === 1 && failure !== '', 'the refusal');
  t.match(failure, /NO_APPLICATION_PROTOCOL/);
  const none = tls.connect(options);
  t.after(() => {
    none.destroy();
    http1.destroy();
  });
  await turn(loop, () => server.owners[1]?.peer !== undefined, 'the handshake');
  t.equal(server.owners[1]?.closed, 0);
});

/** Say PLUMB_HANDSHAKES=10000 for the long run. */
const HANDSHAKES = Number(process.env['PLUMB_HANDSHAKES'] ?? 1200);

test('TlsConnection survives thousands of mutated handshakes', async (t) => {
  const loop = makeLoop(t);
  const context = contextOf(t);
  const server = serve(t, loop, context, { handshakeTimeoutMs: 300 });
  const hello = await recordHello(t);
  const atOnce = 20;
  const rounds = Math.ceil(HANDSHAKES / atOnce);
  for (let round = 0; round < rounds; round += 1) {
    const raws = Array.from({ length: atOnce }, () => rawClient(t, server.port));
    for (const raw of raws) raw.end(mutate(hello));
    const due = (round + 1) * atOnce;
    await turn(loop, () => server.owners.filter(({ closed }) => closed > 0).length === due, 'all');
    for (const raw of raws) raw.destroy();
  }
  t.ok(server.owners.every(({ closed, peer }) => closed === 1 && peer === undefined));
  const { conn, owner } = openClient(loop, context, server.port);
  t.after(() => conn.destroy());
  await turn(loop, () => owner.peer !== undefined, 'a good handshake after all that');
});

async function recordHello(t: Test): Promise<Buffer> {
  const recorder = createServer();
  recorder.listen(0, '127.0.0.1');
  await once(recorder, 'listening');
  t.after(() => recorder.close());
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
  const raw = rawClient(t, (recorder.address() as AddressInfo).port);
  const hello = Promise.withResolvers<Buffer>();
  clientThrough(t, raw, hello.resolve);
  return hello.promise;
}

/** Changes bytes, cuts, doubles or inserts; one in ten is left with nothing but its head. */
function mutate(hello: Buffer): Buffer {
  const copy = Buffer.from(hello);
  for (let i = randomInt(1, 6); i > 0; i -= 1) copy[randomInt(copy.length)] = randomInt(256);
  const cut = randomInt(copy.length);
  switch (randomInt(10)) {
    case 0:
      return copy.subarray(0, 5);
    case 1:
      return copy.subarray(0, cut);
    case 2:
      return Buffer.concat([
        copy.subarray(0, cut),
        randomBytes(randomInt(300)),
        copy.subarray(cut),
      ]);
    case 3:
      return Buffer.concat([copy, copy]);
    default:
      return copy;
  }
}

/** What bounds a TLS connection: queues, fairness, memory that is lent, and threads of their own. */
import { randomBytes } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { test } from 'tap';
import { MAX_QUEUED_BYTES } from '#common/engine/tls-connection.ts';
import { STAGE_BYTES } from '#common/engine/tls-stage.ts';
import {
  contextOf,
  leaf,
  makeLoop,
  nodeServer,
  nodeSettings,
  openClient,
  root,
  serve,
  turn,
} from '../../helpers/engine.ts';

test('TlsConnection closes when the peer does not read and the writer does not stop', async (t) => {
  const loop = makeLoop(t);
  const settings = { ...nodeSettings(), ALPNProtocols: ['h2'] };
  const port = await nodeServer(t, settings, (socket) => socket.pause());
  const { conn, owner } = openClient(loop, contextOf(t), port);
  conn.reserve(1);
  t.throws(() => conn.commit(1), TypeError, 'nothing leaves before the peer is known');
  await turn(loop, () => owner.peer !== undefined, 'the handshake');
  let written = 0;
  while (written < 64 << 20 && owner.closed === 0) {
    const before = owner.closed;
    const at = conn.reserve(65_536);
    conn.bytes.fill(7, at, at + 65_536);
    conn.commit(65_536);
    t.equal(owner.closed, before, 'never from within a write');
    written += 65_536;
    loop.pass(0);
  }
  t.equal(owner.error?.code, 'LIMIT_REACHED');
  t.ok(written >= MAX_QUEUED_BYTES);
  t.ok(conn.closed);
  conn.commit(0);
  conn.end();
  conn.destroy();
  t.equal(owner.closed, 1);
});

test('TlsConnection is blocked while the peer does not read, and says when it is not', async (t) => {
  const loop = makeLoop(t);
  let peer: TLSSocket | undefined;
  const settings = { ...nodeSettings(), ALPNProtocols: ['h2'] };
  const port = await nodeServer(t, settings, (socket) => {
    peer = socket;
    socket.pause();
  });
  const { conn, owner } = openClient(loop, contextOf(t), port);
  t.after(() => conn.destroy());
  owner.onSecured = () => owner.send(Buffer.alloc(32 << 20, 1));
  await turn(loop, () => conn.blocked && peer !== undefined, 'the block');
  t.notOk(owner.allSent);
  let got = 0;
  peer?.on('data', (chunk: Buffer) => (got += chunk.length));
  peer?.resume();
  await turn(loop, () => got === 32 << 20, 'all bytes');
  t.notOk(conn.blocked);
  t.equal(owner.error, undefined);
});

test('TlsConnection.reserve() gives the stage to one connection at a time', async (t) => {
  const loop = makeLoop(t);
  const context = contextOf(t);
  const server = serve(t, loop, context);
  const a = openClient(loop, context, server.port);
  const b = openClient(loop, context, server.port);
  t.after(() => [a, b].forEach(({ conn }) => conn.destroy()));
  await turn(
    loop,
    () => server.owners.filter(({ peer }) => peer !== undefined).length === 2,
    'both',
  );
  const said = new Map([
    [a, ''],
    [b, ''],
  ]);
  for (let i = 0; i < 200; i += 1) {
    for (const side of [a, b]) {
      const text = `${side === a ? 'a' : 'b'}${i};`;
      const at = side.conn.reserve(text.length);
      side.conn.bytes.write(text, at);
      side.conn.commit(text.length);
      said.set(side, (said.get(side) ?? '') + text);
    }
  }
  const late = a.conn.reserve(4);
  b.conn.reserve(4);
  t.equal(late, 0, 'the stage had been b’s');
  t.throws(() => a.conn.commit(4), TypeError);
  t.throws(() => a.conn.reserve(STAGE_BYTES + 1), RangeError);
  const total = (said.get(a)?.length ?? 0) + (said.get(b)?.length ?? 0);
  const heard = (): number => server.owners.reduce((sum, owner) => sum + owner.receivedBytes, 0);
  await turn(loop, () => heard() === total, 'all messages');
  const texts = server.owners.map(({ received }) => received.toString()).toSorted();
  t.strictSame(texts, [said.get(a), said.get(b)]);
});

test('TlsConnection keeps bytes intact while the collector runs all the time', async (t) => {
  setFlagsFromString('--expose-gc');
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the flag provides
  const collect = runInNewContext('gc') as () => void;
  const loop = makeLoop(t);
  const settings = { ...nodeSettings(), ALPNProtocols: ['h2'] };
  const port = await nodeServer(t, settings, (socket) => socket.pipe(socket));
  const sent = randomBytes(1 << 20);
  for (let round = 0; round < 5; round += 1) {
    const context = contextOf(t);
    const { conn, owner } = openClient(loop, context, port);
    context.dispose();
    owner.onSecured = () => owner.send(sent);
    await turn(
      loop,
      () => {
        collect();
        return owner.receivedBytes >= sent.length || owner.closed > 0;
      },
      'the echo',
    );
    t.ok(owner.received.equals(sent));
    conn.destroy();
  }
});

test('TlsConnection works in several threads at once, each with contexts of its own', async (t) => {
  const settings = { ...nodeSettings(), ALPNProtocols: ['h2'] };
  const port = await nodeServer(t, settings, (socket) => socket.pipe(socket));
  const workerData = {
    port,
    chainPem: leaf.pem,
    keyPem: leaf.keyPem,
    rootsPem: [root.pem],
    engine: new URL('../../../common/engine/', import.meta.url).href,
    sys: new URL('../../../common/sys/', import.meta.url).href,
  };
  const workers = [0, 1, 2].map(
    () => new Worker(ECHO_WORKER, { eval: true, workerData, execArgv: [] }),
  );
  const answers = await Promise.all(
    workers.map(async (worker) => {
      const [answer] = await once(worker, 'message');
      await worker.terminate();
      return answer;
    }),
  );
  t.strictSame(answers, [3000, 3000, 3000]);
});

/** Shakes hands 30 times, one connection after another, and hears 100 bytes back on each. */
const ECHO_WORKER = `
const { workerData, parentPort } = require('node:worker_threads');
(async () => {
  const { engine, sys } = workerData;
  const { Loop } = await import(engine + 'loop.ts');
  const { TlsConnection } = await import(engine + 'tls-connection.ts');
  const { createTlsContext } = await import(engine + 'tls-context.ts');
  const { socket, connect } = await import(sys + 'libc.ts');
  const loop = new Loop({ onError: (error) => { throw error; } });
  let total = 0;
  let left = 30;
  const next = () => {
    if (left-- === 0) return loop.stop();
    const context = createTlsContext(workerData);
    const fd = socket(4);
    connect(fd, '127.0.0.1', workerData.port);
    let got = 0;
    const conn = new TlsConnection({
      loop, fd, role: 'client', context, handshakeTimeoutMs: 5000,
      owner: {
        onSecure() {
          const at = conn.reserve(100);
          conn.bytes.fill(1, at, at + 100);
          conn.commit(100);
          return true;
        },
        onPlain(bytes, from, to) {
          got += to - from;
          if (got === 100) conn.end();
        },
        onWritable() {},
        onClosed(error) {
          if (error !== undefined) total = NaN;
          total += got;
          next();
        },
      },
    });
    context.dispose();
  };
  next();
  loop.run();
  parentPort.postMessage(total);
})();`;

test('TlsConnection.end() reads on behind its last word, unless it is deaf', async (t) => {
  const loop = makeLoop(t);
  const context = contextOf(t);
  const server = serve(t, loop, context);
  for (const [i, deaf] of [false, true].entries()) {
    const { conn, owner } = openClient(loop, context, server.port);
    await turn(loop, () => server.owners[i]?.peer !== undefined, 'the handshake');
    const peer = server.conns[i];
    server.owners[i]?.send(Buffer.alloc(32 << 20, 7));
    t.ok(peer?.blocked, 'there is more than the kernel takes');
    for (let n = 0; n < 50; n += 1) {
      peer?.reserve(65_536);
      peer?.commit(65_536);
      peer?.flush();
    }
    conn.end(deaf);
    let isRead = false;
    await turn(loop, () => {
      isRead ||= peer?.closed === true && owner.closed === 0;
      return owner.closed === 1;
    });
    t.equal(isRead, !deaf);
    t.equal(owner.error, undefined);
  }
});

/** TCP sockets of the loop against Node's own `net`: both directions, their ends, and failures. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'tap';
import type { Test } from 'tap';
import { Listener } from '#common/engine/listener.ts';
import type { Loop } from '#common/engine/loop.ts';
import { connectTcp } from '#common/engine/tcp.ts';
import type { TcpOwner, TcpSocket } from '#common/engine/tcp.ts';
import type { MeshError } from '#common/errors.ts';
import { accept, bind, closeFd, connect, listen, localOf, socket } from '#common/sys/libc.ts';
import { newSlab } from '#common/sys/slab.ts';
import { makeLoop, rawClient, turn } from '../../helpers/engine.ts';

const slab = newSlab(1 << 16);

/** Reads all there is whenever it is told to, as the engine's users do. */
class Reader implements TcpOwner {
  connected = 0;
  writable = 0;
  closed = 0;
  ended = false;
  error: MeshError | undefined;
  readonly chunks: Buffer[] = [];
  length = 0;
  socket: TcpSocket | undefined;
  paused = false;

  onConnected(): void {
    this.connected += 1;
  }

  onReadable(): void {
    if (this.paused || this.socket === undefined) return;
    for (;;) {
      const n = this.socket.recvInto(slab, 0, slab.bytes.length);
      if (n === 0) this.ended = true;
      if (n <= 0) return;
      this.chunks.push(Buffer.from(slab.bytes.subarray(0, n)));
      this.length += n;
      if (n < slab.bytes.length && !this.socket.hungUp) return;
    }
  }

  onWritable(): void {
    this.writable += 1;
  }

  onClosed(error: MeshError | undefined): void {
    this.closed += 1;
    this.error = error;
  }
}

async function setUp(
  t: Test,
): Promise<{ loop: Loop; reader: Reader; peer: Socket; ours: TcpSocket }> {
  const loop = makeLoop(t);
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const reader = new Reader();
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
  const { port } = server.address() as AddressInfo;
  const to = { address: '127.0.0.1', port, timeoutMs: 5000 };
  const accepted = once(server, 'connection');
  const ours = connectTcp(loop, socket(4), to, reader);
  reader.socket = ours;
  t.after(() => ours.destroy(false));
  await turn(loop, () => reader.connected === 1, 'the connection');
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what net documents
  const [peer] = (await accepted) as [Socket];
  peer.on('error', () => undefined);
  t.after(() => {
    peer.destroy();
  });
  return { loop, reader, peer, ours };
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

test('TcpSocket queues for a slow reader, and tells when the queue is empty', async (t) => {
  const { loop, reader, peer, ours } = await setUp(t);
  const sent = randomBytes(8 << 20);
  peer.pause();
  ours.write(sent, 0, sent.length);
  t.ok(ours.queued > 0, 'the kernel did not take all');
  const got: Buffer[] = [];
  peer.on('data', (chunk: Buffer) => got.push(chunk));
  let ended = false;
  peer.on('end', () => (ended = true));
  peer.resume();
  ours.endWrite();
  ours.write(Buffer.from('too late'), 0, 8);
  await turn(loop, () => ended, 'the end');
  t.equal(ours.queued, 0);
  t.equal(reader.writable, 1);
  t.equal(sha256(Buffer.concat(got)), sha256(sent), 'the FIN stands behind the queue');
});

test('TcpSocket reads on after its own FIN, up to the peer’s', async (t) => {
  const { loop, reader, peer, ours } = await setUp(t);
  peer.resume();
  const ended = once(peer, 'end');
  ours.endWrite();
  ours.endWrite();
  await turn(loop, () => peer.readableEnded, 'our FIN');
  await ended;
  peer.end(randomBytes(1 << 20));
  await turn(loop, () => reader.ended, 'the peer’s FIN');
  t.equal(reader.length, 1 << 20);
  t.equal(reader.closed, 0, 'closing is the owner’s');
});

test('TcpSocket writes on after the peer’s FIN', async (t) => {
  const { loop, reader, peer, ours } = await setUp(t);
  const got: Buffer[] = [];
  peer.on('data', (chunk: Buffer) => got.push(chunk));
  peer.end('question');
  await turn(loop, () => reader.ended, 'the FIN');
  t.equal(Buffer.concat(reader.chunks).toString(), 'question');
  ours.write(Buffer.from('answer'), 0, 6);
  ours.endWrite();
  await turn(loop, () => peer.readableEnded, 'the end');
  t.equal(Buffer.concat(got).toString(), 'answer');
});

test('TcpSocket does not lose a FIN that comes with the data, when the reader was paused', async (t) => {
  const { loop, reader, peer } = await setUp(t);
  reader.paused = true;
  peer.end('data and FIN');
  await turn(loop, () => reader.socket?.hungUp === true, 'the event');
  reader.paused = false;
  reader.onReadable();
  t.equal(reader.length, 12);
  t.ok(reader.ended, 'no second event is needed');
});

test('TcpSocket tells a reset from an end', async (t) => {
  const { loop, reader, peer } = await setUp(t);
  peer.resetAndDestroy();
  await turn(loop, () => reader.closed > 0, 'the reset');
  t.match(reader.error?.message, /ECONNRESET/);
  t.equal(reader.closed, 1);
});

test('TcpSocket.destroy() resets on demand', async (t) => {
  const { reader, peer, ours } = await setUp(t);
  const failed = once(peer, 'error').catch((error: unknown) => [error]);
  ours.destroy(true);
  ours.destroy(false);
  t.equal(reader.closed, 1);
  t.match((await failed)[0], { code: 'ECONNRESET' });
  t.equal(ours.recvInto(slab, 0, 1), -11, 'a closed socket has nothing');
  t.equal(ours.write(Buffer.from('x'), 0, 1), 0);
});

test('TcpSocket reports a failed write later, not under the writer', async (t) => {
  const { loop, reader, peer, ours } = await setUp(t);
  reader.paused = true;
  peer.resetAndDestroy();
  await turn(loop, () => ours.hungUp, 'the reset');
  ours.write(Buffer.from('x'), 0, 1);
  ours.write(Buffer.from('x'), 0, 1);
  t.equal(reader.closed, 0);
  await turn(loop, () => reader.closed === 1, 'the report');
  t.match(reader.error?.message, /ECONNRESET|EPIPE/);
});

test('connectTcp() tells a refusal and a time-out, each once', async (t) => {
  const loop = makeLoop(t);
  const refused = new Reader();
  connectTcp(loop, socket(4), { address: '127.0.0.1', port: 1, timeoutMs: 5000 }, refused);
  // A listener whose queue is full answers no SYN.
  const full = socket(4);
  bind(full, '127.0.0.1', 0);
  listen(full, 0);
  const port = localOf(full)?.port ?? 0;
  const fillers = [socket(4), socket(4), socket(4)];
  for (const fd of fillers) connect(fd, '127.0.0.1', port);
  t.after(() => [full, ...fillers].forEach(closeFd));
  const late = new Reader();
  connectTcp(loop, socket(4), { address: '127.0.0.1', port, timeoutMs: 200 }, late);
  await turn(loop, () => refused.closed + late.closed === 2, 'both');
  t.equal(refused.error?.code, 'CONNECT_FAILED');
  t.match(refused.error?.details, { errno: 'ECONNREFUSED', target: '127.0.0.1:1' });
  t.equal(late.error?.code, 'CONNECT_TIMEOUT');
});

test('connectTcp() tells what fails at once only after it has returned', async (t) => {
  const loop = makeLoop(t);
  const owner = new Reader();
  connectTcp(loop, socket(4), { address: '255.255.255.255', port: 9, timeoutMs: 1000 }, owner);
  t.equal(owner.closed, 0);
  await turn(loop, () => owner.closed === 1, 'the failure');
  t.equal(owner.error?.code, 'CONNECT_FAILED');
});

test('Listener accepts a burst, and release() leaves its queue to another', async (t) => {
  const loop = makeLoop(t);
  const fd = socket(4);
  bind(fd, '127.0.0.1', 0);
  listen(fd);
  const port = localOf(fd)?.port ?? 0;
  const accepted: number[] = [];
  const listener = new Listener(loop, fd, { onAccept: (one) => accepted.push(one) });
  for (let i = 0; i < 100; i += 1) rawClient(t, port);
  await turn(loop, () => accepted.length === 100, 'the burst');
  listener.release();
  listener.close();
  const late = rawClient(t, port);
  await once(late, 'connect');
  loop.pass(0);
  t.equal(accepted.length, 100);
  const taken = accept(fd);
  t.ok(taken >= 0, 'the descriptor is open and the connection waits in it');
  [...accepted, taken, fd].forEach(closeFd);
});

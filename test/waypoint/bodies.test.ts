/**
 * Content of any size in constant memory, both ways, between all protocols; `PLUMB_BODY_MB` sets the size
 * (64 by default, 1024 for the long form).
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import * as http2 from 'node:http2';
import { connect } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { Readable, type Writable } from 'node:stream';
import { test, type Test } from 'tap';
import {
  eventually,
  http1Backend,
  http2Backend,
  routesTo,
  startProxy,
  type Backend,
} from '../helpers/waypoint-rig.ts';

const MIB = 1024 * 1024;
const SIZE = Number(process.env['PLUMB_BODY_MB'] ?? 64) * MIB;
/** What may come on top: sockets' buffers, slabs, this test's own streams. */
const MOST_GROWTH = 160 * MIB;

function* blocks(): Generator<Buffer> {
  const block = Buffer.allocUnsafe(MIB);
  for (let i = 0; i < MIB; i += 4) block.writeUInt32LE((i * 2_654_435_761) >>> 0, i);
  for (let at = 0; at < SIZE; at += MIB) {
    block.writeUInt32LE(at / MIB, 0);
    yield Buffer.from(block);
  }
}

async function digest(stream: Readable): Promise<string> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk);
    hash.update(bytes);
    length += bytes.length;
  }
  return `${length} ${hash.digest('hex')}`;
}

async function echoBackend(t: Test, protocol: 'http1' | 'http2'): Promise<Backend> {
  if (protocol === 'http1') {
    const server = await http1Backend(t, (request, response) => void request.pipe(response));
    return { port: server.port, protocol };
  }
  const server = await http2Backend(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.pipe(stream);
  });
  return { port: server.port, protocol };
}

/** Sends everything and returns what comes back, at the same time. */
async function echo(t: Test, port: number, protocol: 'http1' | 'http2'): Promise<string> {
  let sink: Writable;
  let answer: Promise<Readable>;
  if (protocol === 'http1') {
    const request = httpRequest({ port, method: 'POST' });
    sink = request;
    answer = once(request, 'response').then(([response]: IncomingMessage[]) => {
      if (response === undefined) throw new TypeError('no response');
      return response;
    });
    request.flushHeaders();
  } else {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    t.after(() => session.destroy());
    const stream = session.request({ ':method': 'POST', ':path': '/' });
    sink = stream;
    answer = Promise.resolve(stream);
  }
  const sent = pipeline(Readable.from(blocks()), sink, { end: true });
  const came = digest(await answer);
  if (protocol === 'http1') await sent;
  return came;
}

const expected = digest(Readable.from(blocks()));

for (const [from, to] of [
  ['http1', 'http1'],
  ['http2', 'http2'],
  ['http1', 'http2'],
  ['http2', 'http1'],
] as const) {
  test(`${SIZE / MIB} MB pass from ${from} to ${to} and back in constant memory`, async (t) => {
    const { port } = await startProxy(t, routesTo(await echoBackend(t, to)));
    const before = process.memoryUsage.rss();
    let most = before;
    const look = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 100);
    t.teardown(() => clearInterval(look));
    t.equal(await echo(t, port, from), await expected);
    const grown = most - before;
    t.ok(grown < MOST_GROWTH, `${Math.round(grown / MIB)} MB more`);
  });
}

test('a client that does not read holds the sender back, whoever it is', async (t) => {
  let sent = 0;
  const backend = await http1Backend(t, (_, response) => {
    const block = Buffer.alloc(MIB);
    const more = (): void => {
      while (sent < 2048 * MIB) {
        sent += MIB;
        if (!response.write(block)) break;
      }
    };
    response.on('drain', more);
    more();
  });
  const { port } = await startProxy(t, routesTo(backend));
  const socket = connect(port, '127.0.0.1');
  t.after(() => {
    socket.destroy();
  });
  socket.pause();
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  let last = -1;
  let same = 0;
  await eventually(() => {
    same = sent === last && sent > 0 ? same + 1 : 0;
    last = sent;
    return same > 50;
  }, 'the sender to stop');
  t.ok(sent < 64 * MIB, `it stopped after ${sent / MIB} MB`);
  let received = 0;
  socket.on('data', (chunk: Buffer) => (received += chunk.length));
  socket.resume();
  await eventually(() => received > 100 * MIB, 'it goes on once it is read');
});

test('what a slow client has not read yet is not held against its endpoint for good', async (t) => {
  const length = 3 * MIB;
  let finished = 0;
  const backend = await http2Backend(t, (stream) => {
    stream.respond({ ':status': 200, 'content-length': length });
    stream.on('finish', () => (finished += 1));
    stream.end(Buffer.alloc(length));
  });
  const routes = routesTo({ port: backend.port, protocol: 'http2' });
  const { port, counters } = await startProxy(t, routes);
  const session = http2.connect(`http://127.0.0.1:${port}`);
  t.after(() => session.destroy());
  // Together more than a connection may hold unread.
  for (let round = 1; round <= 40; round += 1) {
    const stream = session.request({ ':path': '/' });
    await once(stream, 'response');
    await eventually(() => finished === round, 'the whole response to be sent');
    let received = 0;
    stream.on('data', (chunk: Buffer) => (received += chunk.length));
    await once(stream, 'end');
    if (received !== length) t.fail(`${received} bytes in round ${round}`);
  }
  t.equal(counters.read('upstreamsOpened'), 1);
});

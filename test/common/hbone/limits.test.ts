/** Each bound that protects a session, by the attack that it stops. */
import { test } from 'tap';
import * as limits from '../../../common/http2/limits.ts';
import {
  bench,
  connectBlock,
  connectFrame,
  frame,
  literal,
  setting,
  u32,
  type Bench,
} from '../../helpers/http2-wire.ts';

/** Feeds up to `most` times what `next` makes; returns how often until the session died. */
function flood(attacked: Bench, most: number, next: (i: number) => Buffer): number {
  for (let i = 0; i < most; i += 1) {
    attacked.feed(next(i));
    attacked.outlet.take();
    if (attacked.session.closed) return i + 1;
  }
  return Number.POSITIVE_INFINITY;
}

const { RATES } = limits;
const PING = frame(6, 0, 0, [0, 0, 0, 0, 0, 0, 0, 1]);

test('HboneSession ends a flood of each kind, just past its burst', async (t) => {
  const rows: readonly [string, number, (i: number) => Buffer][] = [
    ['SETTINGS', RATES.settings.burst, () => frame(4, 0, 0)],
    ['acknowledgments', RATES.settings.burst, () => frame(4, 1, 0)],
    ['PING', RATES.pings.burst, () => PING],
    ['answers to no PING', RATES.pings.burst, () => frame(6, 1, 0, Buffer.alloc(8))],
    ['HEADERS on a stream that was reset', RATES.idleFrames.burst, () => connectFrame(3)],
    ['PRIORITY', RATES.idleFrames.burst, () => frame(2, 0, 3, [0, 0, 0, 0, 1])],
    ['unknown frames', RATES.idleFrames.burst, () => frame(0x99, 0, 0, [1])],
    ['GOAWAY', RATES.idleFrames.burst, () => frame(7, 0, 0, Buffer.alloc(8))],
    ['WINDOW_UPDATE', RATES.windowUpdates.burst, () => frame(8, 0, 0, u32(1))],
    ['empty DATA', RATES.emptyData.burst, () => frame(0, 0, 1)],
    ['DATA of padding alone', RATES.emptyData.burst, () => frame(0, 8, 1, [1, 0])],
  ];
  for (const [what, burst, next] of rows) {
    const attacked = bench('server', { onRequest: (stream) => stream.respond(200) });
    attacked.feed(connectFrame(1), connectFrame(3));
    attacked.requests[1]?.stream.reset(8);
    const count = flood(attacked, burst + 10, next);
    t.ok(count > burst - 3 && count <= burst + 1, `${what}: ${count}`);
    t.equal(attacked.fault(), 'ENHANCE_YOUR_CALM', what);
  }
});

test('HboneSession ends rapid reset: streams reset before their answer', async (t) => {
  const attacked = bench('server');
  const count = flood(attacked, 5000, (i) =>
    Buffer.concat([connectFrame(2 * i + 1), frame(3, 0, 2 * i + 1, u32(8))]),
  );
  t.equal(count, RATES.earlyResets.burst + 1);
  t.equal(attacked.fault(), 'ENHANCE_YOUR_CALM');
  t.equal(attacked.session.streams, 0);
});

test('HboneSession lets streams be reset after their answer, however many', async (t) => {
  const busy = bench('server', { onRequest: (stream) => stream.respond(200) });
  const count = flood(busy, 5000, (i) =>
    Buffer.concat([connectFrame(2 * i + 1), frame(3, 0, 2 * i + 1, u32(8))]),
  );
  t.equal(count, Number.POSITIVE_INFINITY);
});

test('HboneSession ends MadeYouReset, whatever makes it reset its streams', async (t) => {
  const rows: readonly [string, (id: number) => Buffer][] = [
    ['WINDOW_UPDATE of 0', (id) => Buffer.concat([connectFrame(id), frame(8, 0, id, u32(0))])],
    [
      'window overflow',
      (id) => Buffer.concat([connectFrame(id), frame(8, 0, id, u32(0x7fff_ffff))]),
    ],
    ['HEADERS on an open stream', (id) => Buffer.concat([connectFrame(id), connectFrame(id)])],
    [
      'DATA after the end',
      (id) => Buffer.concat([frame(1, 5, id, connectBlock()), frame(0, 0, id, [1])]),
    ],
    ['malformed request', (id) => frame(1, 4, id, literal('x', 'y'))],
    [
      'PRIORITY on itself',
      (id) => Buffer.concat([connectFrame(id), frame(2, 0, id, [...u32(id), 1])]),
    ],
  ];
  for (const [what, next] of rows) {
    const attacked = bench('server', { onRequest: (stream) => stream.respond(200) });
    const count = flood(attacked, 5000, (i) => next(2 * i + 1));
    t.equal(count, RATES.provokedResets.burst + 1, what);
    t.equal(attacked.fault(), 'ENHANCE_YOUR_CALM', what);
  }
});

test('HboneSession refuses streams beyond its limit, and ends a peer that goes on', async (t) => {
  const full = bench('server');
  for (let i = 0; i < limits.MAX_STREAMS; i += 1) full.feed(connectFrame(2 * i + 1));
  t.strictSame(full.outlet.frames(), []);
  full.feed(connectFrame(2 * limits.MAX_STREAMS + 1));
  t.strictSame(
    full.outlet.frames().map(({ type, payload }) => [type, payload.readUInt32BE()]),
    [[3, 7]],
  );
  t.equal(full.requests.length, limits.MAX_STREAMS);
  const count = flood(full, 5000, (i) => connectFrame(2 * (limits.MAX_STREAMS + 1 + i) + 1));
  t.equal(count, RATES.provokedResets.burst);
});

test('HboneSession ends a peer whose headers are large again and again, and no other', async (t) => {
  const line = literal('x', 'y'.repeat(120));
  const request = (lines: number) => (i: number) =>
    frame(1, 5, 2 * i + 1, connectBlock('10.0.0.7:80', ...Array(lines).fill(line)));
  const attacked = bench('server', { onRequest: (stream) => stream.respond(503) });
  const count = flood(attacked, 5000, request(120));
  t.ok(count > 300 && count < 350, String(count));
  t.equal(attacked.fault(), 'ENHANCE_YOUR_CALM');
  const busy = bench('server', { onRequest: (stream) => stream.respond(503) });
  t.equal(flood(busy, 5000, request(12)), Number.POSITIVE_INFINITY);
});

test('HboneSession ends a header block that goes on for ever', async (t) => {
  const rows: readonly [string, Buffer, Buffer][] = [
    ['empty pieces', frame(1, 0, 1), frame(9, 0, 1)],
    [
      'large pieces',
      frame(1, 0, 1, Buffer.alloc(16_000, 0x82)),
      frame(9, 0, 1, Buffer.alloc(16_000)),
    ],
  ];
  for (const [what, first, next] of rows) {
    const attacked = bench('server');
    attacked.feed(first);
    t.ok(flood(attacked, 100, () => next) <= limits.MAX_CONTINUATIONS + 1, what);
    t.equal(attacked.fault(), 'ENHANCE_YOUR_CALM', what);
  }
});

test('HboneSession takes nothing between the frames of a header block', async (t) => {
  for (const between of [
    PING,
    frame(0, 0, 1),
    frame(0x99, 0, 0),
    frame(9, 4, 3),
    connectFrame(3),
  ]) {
    const attacked = bench('server');
    attacked.feed(frame(1, 0, 1, connectBlock()), between);
    t.equal(attacked.fault(), 'PROTOCOL_ERROR');
  }
});

test('HboneSession ends an HPACK bomb: small blocks that name a large entry often', async (t) => {
  const attacked = bench('server');
  const large = Buffer.concat([
    Buffer.from([0x40, 1, 0x78, 0x7f, 0xa1, 0x1e]),
    Buffer.alloc(4000, 0x79),
  ]);
  // The table has room until the acknowledgment, so this session has not had one.
  const fresh = bench('server', { silent: true });
  fresh.feed(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0));
  fresh.feed(frame(1, 4, 1, Buffer.concat([connectBlock(), large])));
  t.equal(fresh.requests.length, 1);
  fresh.feed(frame(1, 4, 3, Buffer.alloc(20_000, 0xbe)));
  t.equal(fresh.fault(), 'ENHANCE_YOUR_CALM');
  attacked.feed(frame(1, 4, 1, Buffer.concat([connectBlock(), large, Buffer.from([0xbe])])));
  t.equal(attacked.fault(), 'COMPRESSION_ERROR', 'and afterwards there is no table');
});

test('HboneSession ends a table size that flaps', async (t) => {
  const attacked = bench('server');
  const flapping = Buffer.concat([Buffer.alloc(3, 0x20), connectBlock()]);
  attacked.feed(frame(1, 4, 1, flapping));
  t.equal(attacked.fault(), 'COMPRESSION_ERROR');
});

test('HboneSession ends a header list beyond 64 KiB, though its block is shorter', async (t) => {
  const fields = (count: number): Buffer =>
    Buffer.concat(Array.from({ length: count }, () => literal('x', 'y'.repeat(120))));
  const attacked = bench('server');
  attacked.feed(frame(1, 4, 1, Buffer.concat([connectBlock(), fields(420)])));
  t.equal(attacked.requests.length, 1, 'this one has just room');
  attacked.feed(frame(1, 4, 3, Buffer.concat([connectBlock(), fields(435)])));
  t.equal(attacked.fault(), 'ENHANCE_YOUR_CALM');
});

test('HboneSession answers windows that overflow, of a stream and of the connection', async (t) => {
  const server = bench('server', { onRequest: (stream) => stream.respond(200) });
  server.feed(connectFrame(1));
  server.outlet.take();
  server.feed(frame(8, 0, 1, u32(0x7fff_ffff)));
  t.strictSame(
    server.outlet
      .frames()
      .map(({ type, stream, payload }) => [type, stream, payload.readUInt32BE()]),
    [[3, 1, 3]],
  );
  server.feed(frame(8, 0, 0, u32(0x7fff_ffff)));
  t.equal(server.fault(), 'FLOW_CONTROL_ERROR');

  const settings = bench('server', { onRequest: (stream) => stream.respond(200) });
  settings.feed(connectFrame(1), frame(8, 0, 1, u32(0x7fff_0000)));
  settings.feed(frame(4, 0, 0, setting(4, 0x7fff_ffff)));
  t.equal(settings.fault(), 'FLOW_CONTROL_ERROR');
});

test('HboneSession ends a peer that sends beyond the windows it was given', async (t) => {
  const data = frame(0, 0, 1, Buffer.alloc(limits.MAX_FRAME));
  const greedy = bench('server', { onRequest: (stream) => stream.respond(200) });
  greedy.feed(connectFrame(1));
  const owner = {
    onResponse: () => undefined,
    onData: () => undefined,
    onEnd: () => undefined,
    onReset: () => undefined,
    onSendRoom: () => undefined,
    onLost: () => undefined,
  };
  if (greedy.requests[0] !== undefined) greedy.requests[0].stream.owner = owner;
  for (let i = 0; i < 4; i += 1) greedy.feed(data);
  t.equal(greedy.requests[0]?.stream.unconsumed, limits.STREAM_WINDOW);
  greedy.outlet.take();
  greedy.feed(data);
  t.match(greedy.outlet.frames(), [{ type: 3, stream: 1, payload: u32(3) }], 'its stream is cut');
  t.equal(greedy.session.unconsumed, 0, 'and gives back what it held');

  // A frame that is under way counts from its head on.
  const head = data.subarray(0, 9);
  const wide = bench('server', {
    onRequest: (stream) => Object.assign(stream, { owner }).respond(200),
  });
  let total = 0;
  for (let id = 1; id < 400 && !wide.session.closed; id += 2) {
    wide.feed(connectFrame(id));
    for (let i = 0; i < 4 && !wide.session.closed; i += 1) {
      head.writeUInt32BE(id, 5);
      wide.feed(data);
      total += limits.MAX_FRAME;
      wide.outlet.take();
    }
  }
  t.equal(wide.fault(), 'FLOW_CONTROL_ERROR');
  t.equal(total, limits.CONNECTION_HOLD + limits.CONNECTION_WINDOW + limits.MAX_FRAME);
});

test('HboneSession earns the peer WINDOW_UPDATEs by what it sends', async (t) => {
  const server = bench('server', { onRequest: (stream) => stream.respond(200) });
  server.feed(connectFrame(1));
  const stream = server.requests[0]?.stream;
  for (let i = 0; i < 20_000; i += 1) {
    stream?.beginData(1000);
    stream?.endData(1000, false);
    server.feed(frame(8, 0, 0, u32(1000)), frame(8, 0, 1, u32(1000)));
    server.outlet.take();
  }
  t.equal(server.session.closed, false);
});

test('HboneSession ends frames that only a broken peer sends', async (t) => {
  const rows: readonly [string, string, Buffer][] = [
    ['DATA on an idle stream', 'PROTOCOL_ERROR', frame(0, 0, 1, [1])],
    ['RST_STREAM on an idle stream', 'PROTOCOL_ERROR', frame(3, 0, 1, u32(8))],
    ['WINDOW_UPDATE on an idle stream', 'PROTOCOL_ERROR', frame(8, 0, 1, u32(8))],
    ['WINDOW_UPDATE on an even stream', 'PROTOCOL_ERROR', frame(8, 0, 2, u32(8))],
    ['HEADERS on stream 0', 'PROTOCOL_ERROR', connectFrame(0)],
    ['HEADERS on an even stream', 'PROTOCOL_ERROR', connectFrame(2)],
    ['PUSH_PROMISE', 'PROTOCOL_ERROR', frame(5, 4, 1, [0, 0, 0, 2])],
    ['CONTINUATION of nothing', 'PROTOCOL_ERROR', frame(9, 4, 1)],
    ['PING on a stream', 'PROTOCOL_ERROR', frame(6, 0, 1, Buffer.alloc(8))],
    ['PING of 7 bytes', 'FRAME_SIZE_ERROR', frame(6, 0, 0, Buffer.alloc(7))],
    ['RST_STREAM of 3 bytes', 'FRAME_SIZE_ERROR', frame(3, 0, 1, [0, 0, 0])],
    ['PRIORITY of 4 bytes', 'FRAME_SIZE_ERROR', frame(2, 0, 1, u32(0))],
    ['WINDOW_UPDATE of 0', 'PROTOCOL_ERROR', frame(8, 0, 0, u32(0))],
    ['SETTINGS on a stream', 'PROTOCOL_ERROR', frame(4, 0, 1)],
    ['SETTINGS of 5 bytes', 'FRAME_SIZE_ERROR', frame(4, 0, 0, Buffer.alloc(5))],
    ['acknowledgment with a body', 'FRAME_SIZE_ERROR', frame(4, 1, 0, setting(3, 1))],
    ['GOAWAY on a stream', 'PROTOCOL_ERROR', frame(7, 0, 1, Buffer.alloc(8))],
    ['GOAWAY of 4 bytes', 'FRAME_SIZE_ERROR', frame(7, 0, 0, u32(0))],
    ['HEADERS shorter than its padding', 'PROTOCOL_ERROR', frame(1, 0x0c, 1, [9, 1])],
    ['HEADERS shorter than its priority', 'FRAME_SIZE_ERROR', frame(1, 0x24, 1, [9, 1])],
  ];
  for (const [what, name, bytes] of rows) {
    const server = bench('server');
    server.feed(bytes);
    t.equal(server.fault(), name, what);
    const goaway = server.outlet.frames().at(-1);
    t.equal(goaway?.type, 7, `${what}: says so in a GOAWAY`);
  }
});

test('HboneSession ends a peer that does not begin with SETTINGS', async (t) => {
  for (const first of [PING, frame(4, 1, 0), connectFrame(1), frame(0x99, 0, 0)]) {
    const server = bench('server', { silent: true });
    server.feed(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), first);
    t.equal(server.fault(), 'PROTOCOL_ERROR');
  }
});

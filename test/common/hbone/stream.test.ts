/** One stream: its ends, its windows, and what its user hears. */
import { test } from 'tap';
import { STREAM_WINDOW } from '../../../common/http2/limits.ts';
import { Recorder } from '../../helpers/http2-streams.ts';
import {
  bench,
  connectBlock,
  connectFrame,
  frame,
  literal,
  OK,
  send,
  setting,
  tunnelled,
  u32,
} from '../../helpers/http2-wire.ts';

test('Stream ends each direction by itself', async (t) => {
  const { client, stream, user } = tunnelled();
  client.feed(frame(0, 0, 1, Buffer.from('a')), frame(0, 1, 1));
  t.strictSame([user.text, user.heard], ['a', ['response 200', 'end']]);
  t.strictSame([stream.remoteEnded, stream.localEnded, stream.closed], [true, false, false]);
  send(client, stream, 'later');
  t.match(client.outlet.frames(), [{ type: 0, flags: 0, payload: Buffer.from('later') }]);
  stream.sendEnd();
  t.match(client.outlet.frames(), [{ type: 0, flags: 1, payload: Buffer.alloc(0) }]);
  t.equal(stream.closed, true);
  t.strictSame(client.heard, ['ready', 'idle']);
});

test('Stream takes empty DATA for nothing (V16)', async (t) => {
  const { client, user } = tunnelled();
  client.feed(frame(0, 0, 1), frame(0, 8, 1, [2, 0, 0]), frame(0, 0, 1, Buffer.from('a')));
  t.strictSame([user.text, user.heard], ['a', ['response 200']]);
});

test('Stream hears a reset with its code, and then no more (V17)', async (t) => {
  const { client, stream, user } = tunnelled();
  client.feed(frame(3, 0, 1, u32(8)), frame(8, 0, 1, u32(1)));
  t.strictSame(user.heard, ['response 200', 'reset 8']);
  t.equal(stream.closed, true);
  t.equal(client.session.closed, false);
});

test('Stream.reset() drops what was under way, without a word', async (t) => {
  const { client, stream, user } = tunnelled();
  user.holds = true;
  client.feed(frame(0, 0, 1, Buffer.from('abc')));
  t.equal(client.session.unconsumed, 3);
  stream.reset(8);
  t.match(client.outlet.frames(), [{ type: 3, payload: u32(8) }]);
  t.equal(client.session.unconsumed, 0);
  client.feed(frame(0, 0, 1, Buffer.from('late')), frame(1, 5, 1, [0x88]), frame(3, 0, 1, u32(0)));
  t.equal(client.outlet.take().length, 0);
  t.strictSame([user.text, user.heard], ['abc', ['response 200']]);
  t.equal(client.session.unconsumed, 0);
});

test('Stream.reset() in the middle of a frame drops the rest of it', async (t) => {
  const { client, stream, user } = tunnelled();
  user.onData = () => stream.reset(2);
  const data = frame(0, 0, 1, Buffer.from('abcdef'));
  client.feed(data.subarray(0, 12));
  client.feed(data.subarray(12), frame(6, 0, 0, Buffer.alloc(8)));
  t.strictSame(
    client.outlet.frames().map(({ type }) => type),
    [3, 6],
  );
  t.equal(client.session.unconsumed, 0);
});

test('Stream.consumed() still counts after the stream has ended', async (t) => {
  const { client, stream, user } = tunnelled();
  user.holds = true;
  client.feed(frame(0, 1, 1, Buffer.from('abc')));
  stream.sendEnd();
  t.equal(stream.closed, true);
  t.equal(client.session.unconsumed, 3);
  stream.consumed(2);
  t.equal(client.session.unconsumed, 1);
  stream.reset(8);
  t.equal(client.session.unconsumed, 0, 'or after it was given up');
});

test('Stream.consumed() gives the window back by halves', async (t) => {
  const { client, stream, user } = tunnelled();
  user.holds = true;
  for (let i = 0; i < 4; i += 1) client.feed(frame(0, 0, 1, Buffer.alloc(1 << 20)));
  client.outlet.take();
  stream.consumed(STREAM_WINDOW / 2 - 1);
  t.strictSame(client.outlet.frames(), []);
  stream.consumed(1);
  t.match(client.outlet.frames(), [{ type: 8, stream: 1, payload: u32(STREAM_WINDOW / 2) }]);
});

test('Stream.respond() with anything but 2xx ends the stream at once', async (t) => {
  const server = bench('server', { onRequest: (stream) => stream.respond(401, { reason: 'no' }) });
  server.feed(connectFrame(1), frame(0, 0, 1, Buffer.from('early')));
  t.match(server.outlet.frames(), [
    { type: 1, flags: 5, stream: 1 },
    { type: 3, stream: 1, payload: u32(0) },
  ]);
  t.equal(server.session.streams, 0);
  server.feed(frame(1, 5, 3, connectBlock()));
  t.match(server.outlet.frames(), [{ type: 1, flags: 5, stream: 3 }], 'no reset when it had ended');
  t.equal(server.session.closed, false);
});

test('Stream of a client hears only an answer that is one', async (t) => {
  const rows: readonly [string, readonly Buffer[], readonly string[]][] = [
    ['103 before 200', [frame(1, 4, 1, literal(':status', '103')), OK], ['response 200']],
    ['200 with END_STREAM', [frame(1, 5, 1, [0x88])], ['response 200', 'end']],
    ['no status', [frame(1, 4, 1, literal('x', 'y'))], ['reset 1']],
    ['101', [frame(1, 4, 1, literal(':status', '101'))], ['reset 1']],
    ['103 with END_STREAM', [frame(1, 5, 1, literal(':status', '103'))], ['reset 1']],
    ['DATA before the answer', [frame(0, 0, 1, [1])], ['reset 1']],
    ['trailers', [OK, frame(1, 5, 1, literal('x', 'y'))], ['response 200', 'reset 1']],
  ];
  for (const [what, frames, heard] of rows) {
    const { session, outlet, feed } = bench('client');
    const user = new Recorder(session.open({ authority: 'a:1' }), outlet);
    feed(...frames);
    t.strictSame(user.heard, heard, what);
    t.equal(session.closed, false, what);
  }
});

test('Stream.sendRoom() is bounded by the stream, the connection, the frame and the outlet', async (t) => {
  const { client, stream } = tunnelled(Buffer.concat([setting(4, 100_000), setting(5, 30_000)]));
  t.equal(stream.sendRoom(), 30_000);
  client.outlet.blocked = true;
  t.equal(stream.sendRoom(), 0);
  client.outlet.blocked = false;
  for (const length of [30_000, 30_000, 5535]) {
    stream.beginData(length);
    stream.endData(length, false);
  }
  t.equal(stream.sendRoom(), 0, 'the connection began with 65535');
  client.feed(frame(8, 0, 0, u32(50_000)));
  stream.beginData(30_000);
  stream.endData(30_000, false);
  t.equal(stream.sendRoom(), 4465, 'what is left of the stream');
  t.throws(() => stream.endData(4466, false), RangeError);
  client.feed(frame(4, 0, 0, setting(4, 0)));
  t.equal(stream.sendRoom(), 0, 'a window may become negative');
  client.feed(frame(8, 0, 1, u32(95_535)), frame(8, 0, 1, u32(1)));
  t.equal(stream.sendRoom(), 1);
});

test('Streams that wait for room are woken in turn', async (t) => {
  const client = bench('client');
  const order: number[] = [];
  const streams = Array.from({ length: 3 }, () => client.session.open({ authority: 'a:1' }));
  for (const stream of streams) {
    const user = new Recorder(stream, client.outlet);
    client.feed(frame(1, 4, stream.id, [0x88]));
    user.onSendRoom = () => {
      order.push(stream.id);
      const room = Math.min(stream.sendRoom(), 1000);
      stream.beginData(room);
      stream.endData(room, false);
      stream.sendRoom(); // it would send more
    };
  }
  client.outlet.blocked = true;
  for (const stream of streams) t.equal(stream.sendRoom(), 0);
  client.session.onWritable();
  t.strictSame(order, [], 'it is still blocked');
  client.outlet.blocked = false;
  client.session.onWritable();
  t.strictSame(order, [1, 3, 5]);
  order.length = 0;
  // All of the connection's window goes; then a little of it comes back.
  for (let room = streams[0]?.sendRoom() ?? 0; room > 0; room = streams[0]?.sendRoom() ?? 0) {
    streams[0]?.beginData(room);
    streams[0]?.endData(room, false);
  }
  t.equal(streams[1]?.sendRoom(), 0);
  t.equal(streams[2]?.sendRoom(), 0);
  client.outlet.take();
  client.feed(frame(8, 0, 0, u32(1500)));
  client.feed(frame(8, 0, 0, u32(2000)));
  t.strictSame(order, [1, 3, 5, 3], 'nobody is passed over for one who had a turn');
});

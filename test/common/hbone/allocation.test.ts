/** The path of DATA makes no garbage: neither a buffer, nor an object, nor a closure per frame. */
import { getHeapStatistics } from 'node:v8';
import { test } from 'tap';
import { bench, frame, OK, u32 } from '../../helpers/http2-wire.ts';

const FRAMES = 200_000;
/** An object takes 16 bytes at least; the slack is for the compiler, which may work meanwhile. */
const MOST_BYTES = (16 * FRAMES) / 4;

/** Heap used by `run`, the least of several times: the compiler has done its work by then. */
function allocated(run: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 8; i += 1) {
    const before = getHeapStatistics().used_heap_size;
    run();
    const after = getHeapStatistics().used_heap_size;
    if (after >= before) least = Math.min(least, after - before);
  }
  return least;
}

function setUp() {
  const client = bench('client');
  const stream = client.session.open({ authority: 'a:1' });
  let received = 0;
  stream.owner = {
    onResponse: () => undefined,
    onData: (_bytes, from, to) => {
      received += to - from;
      stream.consumed(to - from);
    },
    onEnd: () => undefined,
    onReset: () => undefined,
    onSendRoom: () => undefined,
    onLost: () => undefined,
  };
  client.feed(OK);
  return { ...client, stream, received: () => received };
}

test('receiving DATA allocates nothing, whole or in pieces', async (t) => {
  const { session, received, outlet } = setUp();
  const bytes = frame(0, 0, 1, Buffer.alloc(100));
  const garbage = allocated(() => {
    for (let i = 0; i < FRAMES; i += 1) {
      session.receive(bytes, 0, 50);
      session.receive(bytes, 50, 109);
    }
    outlet.rewind();
  });
  t.equal(received(), 8 * FRAMES * 100);
  t.ok(garbage < MOST_BYTES, `${garbage} bytes for ${FRAMES} frames`);
});

test('sending DATA allocates nothing', async (t) => {
  const { session, stream, outlet } = setUp();
  const credit = Buffer.concat([frame(8, 0, 0, u32(100 * 1000)), frame(8, 0, 1, u32(100 * 1000))]);
  let sent = 0;
  const garbage = allocated(() => {
    for (let i = 0; i < FRAMES; i += 1) {
      if (i % 1000 === 0) {
        session.receive(credit, 0, credit.length);
        outlet.rewind();
      }
      if (stream.sendRoom() < 100) return;
      stream.beginData(100);
      stream.endData(100, false);
      sent += 1;
    }
  });
  t.equal(sent, 8 * FRAMES);
  t.ok(garbage < MOST_BYTES, `${garbage} bytes for ${FRAMES} frames`);
});

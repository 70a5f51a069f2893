/** A session taken apart between any two bytes and put together again goes on as if nothing had been. */
import { test } from 'tap';
import { HboneSession } from '../../../common/hbone/session.ts';
import type { SessionState } from '../../../common/hbone/session-state.ts';
import type { Stream } from '../../../common/hbone/stream.ts';
import { Recorder } from '../../helpers/http2-streams.ts';
import {
  bench,
  frame,
  framesOf,
  MemoryOutlet,
  OK,
  setting,
  u32,
} from '../../helpers/http2-wire.ts';
import type { Bench } from '../../helpers/http2-wire.ts';

const ACK = frame(4, 1, 0);
/** What the peer says, with everything in it that can be cut: padding, odd frames, both streams. */
const WIRE = Buffer.concat([
  OK,
  frame(0, 0, 1, Buffer.from('first words')),
  frame(0, 8, 1, Buffer.from('\u0004padded\0\0\0\0', 'latin1')),
  frame(1, 4, 3, [0x88]),
  frame(8, 0, 1, u32(70_000)),
  frame(4, 0, 0, Buffer.concat([setting(4, 100_000), setting(3, 7)])),
  frame(0, 0, 3, Buffer.from('other words')),
  frame(6, 0, 0, Buffer.from('pingpong')),
  frame(77, 0, 0, Buffer.from('a frame that nobody knows')),
  frame(0, 1, 1, Buffer.from('last words')),
  frame(3, 0, 3, u32(8)),
]);

interface Side {
  readonly session: HboneSession;
  readonly outlet: MemoryOutlet;
  readonly users: readonly Recorder[];
}

function begun(): Side {
  const client = bench('client');
  client.feed(ACK);
  const streams = [1, 2].map(() => client.session.open({ authority: '10.0.0.7:80' }));
  client.outlet.take();
  return sideOf(client, streams);
}

function sideOf(
  { session, outlet }: Pick<Bench, 'session' | 'outlet'>,
  streams: readonly Stream[],
) {
  return { session, outlet, users: streams.map((stream) => new Recorder(stream, outlet)) };
}

/** Another session with the state of this one, which has crossed as JSON. */
function moved({ session, users }: Side): Side {
  const text = JSON.stringify(session.state());
  const streams = users.map(({ stream }) => JSON.stringify(stream.state()));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written on the line before
  const state = JSON.parse(text) as SessionState;
  const outlet = new MemoryOutlet();
  const next = new HboneSession({
    role: 'client',
    outlet,
    now: () => 1000,
    owner: {
      onReady: () => undefined,
      onRequest: () => undefined,
      onGoAway: () => undefined,
      onIdle: () => undefined,
      onError: (error) => {
        throw error;
      },
    },
  });
  next.restore(state);
  return sideOf(
    { session: next, outlet },
    streams.map((one) => next.streamOf(JSON.parse(one))),
  );
}

function feed({ session }: Side, bytes: Buffer): void {
  session.receive(bytes, 0, bytes.length);
}

function heardBy(sides: readonly Side[]): unknown {
  return [0, 1].map((n) => ({
    text: sides.map(({ users }) => users[n]?.text).join(''),
    heard: sides.flatMap(({ users }) => users[n]?.heard ?? []),
  }));
}

test('HboneSession.state() can be taken between any two bytes of the wire', async (t) => {
  const whole = begun();
  feed(whole, WIRE);
  const expected = { said: framesOf(whole.outlet.take()), heard: heardBy([whole]) };
  t.match(expected.heard, [
    { text: 'first wordspaddedlast words', heard: ['response 200', 'end'] },
    { text: 'other words', heard: ['response 200', 'reset 8'] },
  ]);
  for (let at = 0; at <= WIRE.length; at += 1) {
    const first = begun();
    feed(first, WIRE.subarray(0, at));
    const second = moved(first);
    feed(second, WIRE.subarray(at));
    const said = framesOf(Buffer.concat([first.outlet.take(), second.outlet.take()]));
    const found = { said, heard: heardBy([first, second]) };
    if (JSON.stringify(found) !== JSON.stringify(expected)) {
      t.strictSame(found, expected, `cut before byte ${at}`);
      return;
    }
    t.same(second.session.state(), whole.session.state(), `cut before byte ${at}`);
  }
});

test('HboneSession.streamOf() gives back what a closed stream still held', async (t) => {
  const first = begun();
  const [user] = first.users;
  if (user !== undefined) user.holds = true;
  feed(first, Buffer.concat([OK, frame(0, 1, 1, Buffer.from('all of it'))]));
  user?.stream.sendEnd();
  t.equal(user?.stream.closed, true);
  t.equal(first.session.unconsumed, 9);
  const second = moved(first);
  const [stream] = second.users.map((one) => one.stream);
  t.strictSame([stream?.closed, stream?.unconsumed, second.session.streams], [true, 9, 1]);
  stream?.consumed(9);
  t.equal(second.session.unconsumed, 0);
});

test('HboneSession.state() waits while it is more than plain numbers', async (t) => {
  const fresh = bench('client', { silent: true });
  t.equal(fresh.session.state(), undefined, 'before the SETTINGS of the peer');
  fresh.feed(frame(4, 0, 0));
  t.equal(fresh.session.state(), undefined, 'before they have acknowledged ours');
  fresh.feed(ACK);
  t.ok(fresh.session.state());
  const client = bench('client');
  client.session.open({ authority: '10.0.0.7:80' });
  client.feed(frame(1, 0, 1, [0x88]));
  t.equal(client.session.state(), undefined, 'within a header block');
  client.feed(frame(9, 4, 1));
  t.ok(client.session.state());
});

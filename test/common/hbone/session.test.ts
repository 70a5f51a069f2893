/** A session by itself: life, death, and what its streams hear. */
import { test } from 'tap';
import { MeshError } from '../../../common/errors.ts';
import { DRAIN_ANSWER_MS, SETTINGS_TIMEOUT_MS } from '../../../common/hbone/session.ts';
import { CONNECTION_WINDOW } from '../../../common/http2/limits.ts';
import { Recorder } from '../../helpers/http2-streams.ts';
import {
  bench,
  connectFrame,
  frame,
  framesOf,
  OK,
  setting,
  tunnelled,
  u32,
} from '../../helpers/http2-wire.ts';

test('HboneSession.start() says what hbone.md asks: windows, frames, streams, no push', async (t) => {
  const client = bench('client', { silent: true });
  const opening = client.outlet.take();
  t.equal(opening.toString('latin1', 0, 24), 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const said = (bytes: Buffer): string[] =>
    framesOf(bytes).map(({ type, payload }) => `${type} ${payload.toString('hex')}`);
  const common = '000100000000000400400000000500100000';
  const window = `8 ${u32(CONNECTION_WINDOW - 65_535).toString('hex')}`;
  t.strictSame(said(opening.subarray(24)), [`4 ${common}000600004000000200000000`, window]);
  const server = bench('server', { silent: true });
  t.strictSame(said(server.outlet.take()), [`4 ${common}0006000100000003000000c8`, window]);
});

test('HboneSession.open() sends CONNECT with an authority and no more', async (t) => {
  const { outlet, session } = bench('client');
  session.open({ authority: '10.0.0.7:80' });
  const [headers] = outlet.frames();
  t.match(headers, { type: 1, flags: 4, stream: 1 });
  t.strictSame(headers?.payload.subarray(0, 1).toString('hex'), '20', 'our table is empty');
  t.equal(headers?.payload.includes('CONNECT'), true);
  t.equal(headers?.payload.includes('10.0.0.7:80'), true);
});

test('HboneSession.open() keeps to what the peer allows', async (t) => {
  const { session, feed, heard } = bench('client', { settings: setting(3, 2) });
  t.equal(session.peerMaxStreams, 2);
  session.open({ authority: 'a:1' });
  session.open({ authority: 'a:1' });
  t.equal(session.canOpen(), false);
  t.throws(() => session.open({ authority: 'a:1' }), { code: 'LIMIT_REACHED' });
  feed(frame(4, 0, 0, setting(3, 3)));
  t.equal(session.room(), 1);
  feed(frame(7, 0, 0, [0, 0, 0, 3, 0, 0, 0, 0]));
  t.strictSame(heard, ['ready', 'goaway 0']);
  t.throws(() => session.open({ authority: 'a:1' }), { code: 'LIMIT_REACHED' });
  t.equal(session.streams, 2, 'those that are open go on');
});

test('HboneSession.open() refuses headers that would not fit one frame, and opens nothing', async (t) => {
  const { session, outlet } = bench('client');
  const baggage = 'x'.repeat(20_000);
  t.throws(() => session.open({ authority: 'a:1', baggage }), { code: 'LIMIT_REACHED' });
  t.equal(session.streams, 0);
  t.equal(outlet.take().length, 0);
});

test('HboneSession lets streams go that a GOAWAY does not name, so that they may be retried', async (t) => {
  const { session, feed, outlet } = bench('client');
  const users = [1, 2].map(() => new Recorder(session.open({ authority: 'a:1' }), outlet));
  feed(frame(7, 0, 0, [0, 0, 0, 1, 0, 0, 0, 0]));
  t.strictSame(
    users.map(({ heard }) => heard),
    [[], ['reset 7']],
  );
  feed(OK);
  t.strictSame(users[0]?.heard, ['response 200']);
});

test('HboneSession.goAway() of a server refuses nobody before the peer has seen it', async (t) => {
  const server = bench('server');
  server.feed(connectFrame(1));
  server.session.goAway();
  const [first, ping] = server.outlet.frames();
  t.match(first, { type: 7, payload: Buffer.from('7fffffff00000000', 'hex') });
  t.equal(ping?.type, 6);
  server.feed(connectFrame(3));
  t.equal(server.requests.length, 2, 'this one was under way');
  server.feed(frame(6, 1, 0, ping?.payload));
  t.match(server.outlet.frames(), [{ type: 7, payload: Buffer.from('0000000300000000', 'hex') }]);
  server.feed(connectFrame(5));
  t.match(server.outlet.frames(), [{ type: 3, stream: 5, payload: u32(7) }]);
  for (const { stream } of server.requests) stream.reset(8);
  t.strictSame(server.heard, ['ready', 'idle']);
});

test('HboneSession.goAway() refuses a peer that pretends not to have seen it', async (t) => {
  const server = bench('server');
  server.feed(connectFrame(1));
  server.session.goAway();
  server.outlet.frames();
  for (let answered = 0; answered < 2; answered += 1) {
    server.clock.now += DRAIN_ANSWER_MS / 2;
    server.feed(frame(6, 1, 0, Buffer.from('answered')));
    server.session.onTimer(server.clock.now);
  }
  const goAways = server.outlet.frames().filter(({ type }) => type === 7);
  t.match(goAways, [{ payload: Buffer.from('0000000100000000', 'hex') }]);
  server.feed(connectFrame(3));
  t.equal(server.requests.length, 1, 'a new stream is refused');
  t.match(server.outlet.frames(), [{ type: 3, stream: 3, payload: u32(7) }]);
  server.session.onTimer(server.clock.now + DRAIN_ANSWER_MS);
  t.notMatch(server.outlet.frames(), [{ type: 7 }], 'and it is said once');
});

test('HboneSession.onTimer() drops a peer that is silent for 20 s, and PINGs before', async (t) => {
  const { client, user } = tunnelled();
  client.clock.now += 9999;
  client.session.onTimer(client.clock.now);
  t.strictSame(client.outlet.frames(), []);
  client.clock.now += 1;
  client.session.onTimer(client.clock.now);
  t.match(client.outlet.frames(), [{ type: 6, flags: 0 }]);
  client.clock.now += 9999;
  client.session.onTimer(client.clock.now);
  t.equal(client.session.closed, false);
  client.clock.now += 1;
  client.session.onTimer(client.clock.now);
  t.equal(client.session.closed, true);
  t.strictSame(user.heard, ['response 200', 'lost TUNNEL_LOST']);
  t.match(client.errors, [{ code: 'TUNNEL_LOST' }]);
});

test('HboneSession.onTimer() keeps a peer that answers, or that at least goes on sending', async (t) => {
  const { client } = tunnelled();
  for (let second = 0; second < 120; second += 1) {
    client.clock.now += 1000;
    client.session.onTimer(client.clock.now);
    for (const { type, flags, payload } of client.outlet.frames()) {
      if (type === 6 && flags === 0) client.feed(frame(6, 1, 0, payload));
    }
  }
  t.equal(client.session.closed, false);
  let seconds = 0;
  for (; seconds < 120 && !client.session.closed; seconds += 1) {
    client.clock.now += 1000;
    client.session.onTimer(client.clock.now);
    client.outlet.take();
    client.feed(frame(0, 0, 1, [1]));
  }
  t.ok(seconds > 59 && seconds <= 71, `dropped after ${seconds} s without a PONG, but with data`);
});

test('HboneSession.onTimer() drops a peer that never begins', async (t) => {
  const { session, clock, errors } = bench('server', { silent: true });
  clock.now += SETTINGS_TIMEOUT_MS;
  session.onTimer(clock.now);
  t.match(errors, [{ code: 'TUNNEL_LOST', message: /no SETTINGS/ }]);
});

test('HboneSession answers PING, and answers nothing once it is dead', async (t) => {
  const { session, feed, outlet } = bench('server');
  feed(frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]));
  t.match(outlet.frames(), [{ type: 6, flags: 1, payload: Buffer.from([1, 2, 3, 4, 5, 6, 7, 8]) }]);
  session.lost(new MeshError('TUNNEL_LOST', 'Cannot go on: test'));
  feed(frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]));
  session.goAway();
  session.ping();
  t.equal(outlet.take().length, 0);
});

test('HboneSession.close() tells every stream why, and its owner nothing', async (t) => {
  const { client, stream, user } = tunnelled();
  client.session.close(new MeshError('STOPPING', 'Cannot go on: stopping'));
  t.strictSame(user.heard, ['response 200', 'lost STOPPING']);
  t.strictSame(client.errors, []);
  t.match(client.outlet.frames(), [{ type: 7 }]);
  t.equal(stream.sendRoom(), 0);
  stream.sendEnd();
  stream.reset(8);
  stream.consumed(1);
  t.equal(client.outlet.take().length, 0);
});

test('HboneSession dies when a user of a stream throws, and lets it be known', async (t) => {
  const { client, user } = tunnelled();
  user.onData = () => {
    throw new TypeError('a mistake of ours');
  };
  t.throws(() => client.feed(frame(0, 0, 1, [1])), { message: 'a mistake of ours' });
  t.equal(client.session.closed, true);
  t.strictSame(user.heard, ['response 200', 'lost TUNNEL_LOST']);
});

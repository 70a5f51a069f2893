/** Much data, and data of many streams, with Node's own http2 as the peer. */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'tap';
import {
  CONNECT,
  echoServer,
  nodeClient,
  nodeServer,
  pieces,
  read,
  sha256,
} from '../../helpers/http2-node.ts';
import { Recorder } from '../../helpers/http2-streams.ts';
import { dial } from '../../helpers/http2-transport.ts';

const MIB = 1024 * 1024;

test('a server of ours carries 32 MiB each way, byte for byte', async (t) => {
  const { port, sessions } = await echoServer(t);
  const sent = randomBytes(32 * MIB);
  const stream = nodeClient(t, port).request(CONNECT);
  // In pieces: Node's http2 fails, also against itself, when given so much at once.
  Readable.from(pieces(sent)).pipe(stream);
  t.equal(sha256(await read(stream)), sha256(sent));
  t.equal(sessions[0]?.session.unconsumed, 0);
});

test('a client of ours carries 32 MiB each way, byte for byte', async (t) => {
  const { port } = await nodeServer(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.pipe(stream);
  });
  const { session, outlet } = await dial(t, port);
  const user = new Recorder(session.open({ authority: '10.0.0.7:80' }), outlet);
  await user.hears('response 200');
  const sent = randomBytes(32 * MIB);
  user.sending.send(sent);
  user.sending.end();
  await user.hears('end');
  t.equal(sha256(Buffer.concat(user.chunks)), sha256(sent));
});

test('a stalled stream holds back only itself, and no more than its window', async (t) => {
  const { port } = await nodeServer(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.on('data', (order: Buffer) => {
      Readable.from(pieces(Buffer.alloc(Number(order.toString()) * MIB))).pipe(stream);
    });
  });
  const { session, outlet } = await dial(t, port);
  const open = async (mib: number, holds: boolean): Promise<Recorder> => {
    const user = new Recorder(session.open({ authority: 'a:1' }), outlet);
    user.holds = holds;
    await user.hears('response 200');
    user.sending.send(Buffer.from(`${mib}`));
    return user;
  };
  const stalled = await Promise.all([open(20, true), open(20, true), open(20, true)]);
  await Promise.all(stalled.map((user) => user.until(() => user.received >= 4 * MIB)));
  const busy = await open(64, false);
  await busy.hears('end');
  t.equal(busy.received, 64 * MIB);
  for (const user of stalled) {
    t.equal(user.stream.unconsumed, 4 * MIB);
    user.holds = false;
    user.stream.consumed(user.stream.unconsumed);
    await user.hears('end');
    t.equal(user.received, 20 * MIB);
  }
});

test('many small frames of many streams leave in few writes', async (t) => {
  const { port } = await nodeServer(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.pipe(stream);
  });
  const { session, outlet } = await dial(t, port);
  const users = Array.from(
    { length: 50 },
    () => new Recorder(session.open({ authority: 'a:1' }), outlet),
  );
  await Promise.all(users.map((user) => user.hears('response 200')));
  const before = outlet.writes;
  for (const user of users) user.sending.send(Buffer.alloc(100, user.stream.id));
  await Promise.all(users.map((user) => user.until(() => user.received === 100)));
  t.ok(outlet.writes - before <= 3, `${outlet.writes - before} writes`);
  t.ok(
    users.every((user) =>
      Buffer.concat(user.chunks).every((byte) => byte === (user.stream.id & 255)),
    ),
  );
});

/** HBONE against Node's own http2 in both roles, over real sockets. */
import { once } from 'node:events';
import * as http2 from 'node:http2';
import { test } from 'tap';
import type { Stream } from '../../../common/hbone/stream.ts';
import {
  answer,
  CONNECT,
  echoServer,
  nodeClient,
  nodeServer,
  read,
} from '../../helpers/http2-node.ts';
import { Recorder } from '../../helpers/http2-streams.ts';
import { dial, listen } from '../../helpers/http2-transport.ts';

const MIB = 1024 * 1024;

test('a server of ours takes a CONNECT without any optional header (V1, V22)', async (t) => {
  const { port } = await echoServer(t);
  const stream = nodeClient(t, port).request({ ...CONNECT, 'x-unknown': 'y' });
  t.match(await answer(stream), { ':status': 200, baggage: 'k8s.namespace.name=shop' });
  stream.end('hello');
  t.equal((await read(stream)).toString(), 'hello');
});

test('a server of ours answers 400 to what is no CONNECT to a host and port (V2, V3)', async (t) => {
  const { port } = await echoServer(t);
  const client = nodeClient(t, port);
  const rows = [
    { ':method': 'GET', ':path': '/' },
    { ':method': 'POST', ':path': '/' },
    { ...CONNECT, ':authority': '10.0.0.7' },
    { ...CONNECT, ':authority': '10.0.0.7:' },
  ];
  for (const headers of rows) {
    const stream = client.request(headers);
    t.match(await answer(stream), { ':status': 400 }, JSON.stringify(headers));
    stream.close();
  }
  t.equal(client.destroyed, false);
});

test('a client of ours says what hbone.md asks, as Node understands it', async (t) => {
  const seen = Promise.withResolvers<http2.IncomingHttpHeaders>();
  const { port, sessions } = await nodeServer(t, (stream, headers) => {
    stream.respond({ ':status': 200, baggage: 'service.name=cart' });
    seen.resolve(headers);
  });
  const { session, outlet } = await dial(t, port);
  const baggage = 'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop';
  const forwarded = 'for="10.244.0.9:41234";host=cart.shop.svc.cluster.local';
  const user = new Recorder(
    session.open({ authority: '[fd00::7]:80', baggage, forwarded }),
    outlet,
  );
  t.match(await seen.promise, {
    ':method': 'CONNECT',
    ':authority': '[fd00::7]:80',
    baggage,
    forwarded,
  });
  await user.hears('response 200');
  t.strictSame(user.response, { baggage: 'service.name=cart' });
  t.match(sessions[0]?.remoteSettings, {
    initialWindowSize: 4 * MIB,
    maxFrameSize: MIB,
    headerTableSize: 0,
    enablePush: false,
  });
});

test('a client that half-closes gets all that the server still sends (V14)', async (t) => {
  const { port } = await nodeServer(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.resume().on('end', () => stream.end('after the end'));
  });
  const { session, outlet } = await dial(t, port);
  const user = new Recorder(session.open({ authority: 'a:1' }), outlet);
  await user.hears('response 200');
  user.sending.end();
  await user.hears('end');
  t.equal(user.text, 'after the end');
  t.equal(session.streams, 0);
});

test('a server that half-closes first gets all that the client still sends (V15)', async (t) => {
  const users: Recorder[] = [];
  const server = await listen(t, (stream) => {
    stream.respond(200);
    const outlet = server.sessions[0]?.outlet;
    if (outlet === undefined) return;
    const user = new Recorder(stream, outlet);
    users.push(user);
    user.sending.send(Buffer.from('first'));
    user.sending.end();
  });
  const stream = nodeClient(t, server.port).request(CONNECT);
  t.equal((await read(stream)).toString(), 'first');
  stream.end('second');
  await users[0]?.hears('end');
  t.equal(users[0]?.text, 'second');
});

test('a reset with CANCEL is heard as such, both ways (V17)', async (t) => {
  const streams: Stream[] = [];
  const heard = Promise.withResolvers<number>();
  const server = await listen(t, (stream) => {
    streams.push(stream);
    stream.respond(200);
    const user = server.sessions[0] && new Recorder(stream, server.sessions[0].outlet);
    if (user) user.onReset = heard.resolve;
  });
  const client = nodeClient(t, server.port);
  const first = client.request(CONNECT).on('error', () => undefined);
  await once(first, 'response');
  first.close(http2.constants.NGHTTP2_CANCEL);
  t.equal(await heard.promise, http2.constants.NGHTTP2_CANCEL);
  const second = client.request(CONNECT).on('error', () => undefined);
  await once(second, 'response');
  streams[1]?.reset(http2.constants.NGHTTP2_CONNECT_ERROR);
  await new Promise((resolve) => void second.once('close', resolve));
  t.equal(second.rstCode, http2.constants.NGHTTP2_CONNECT_ERROR);
});

test('a client of ours keeps to the number of streams that the server allows (V18)', async (t) => {
  const { port } = await nodeServer(t, (stream) => stream.respond({ ':status': 200 }), {
    maxConcurrentStreams: 100,
  });
  const { session, outlet } = await dial(t, port);
  const users = Array.from(
    { length: 100 },
    () => new Recorder(session.open({ authority: 'a:1' }), outlet),
  );
  t.throws(() => session.open({ authority: 'a:1' }), { code: 'LIMIT_REACHED' });
  await Promise.all(users.map((user) => user.hears('response 200')));
  users[0]?.stream.reset(8);
  t.equal(session.room(), 1);
});

test('a GOAWAY of the peer lets old streams finish and takes no new ones (V19)', async (t) => {
  const { port, sessions } = await nodeServer(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.pipe(stream);
  });
  const goaway = Promise.withResolvers<void>();
  const { session, outlet } = await dial(t, port, { owner: { onGoAway: () => goaway.resolve() } });
  const user = new Recorder(session.open({ authority: 'a:1' }), outlet);
  await user.hears('response 200');
  sessions[0]?.goaway(0, 1);
  await goaway.promise;
  t.equal(session.canOpen(), false);
  user.sending.send(Buffer.from('still here'));
  user.sending.end();
  await user.hears('end');
  t.equal(user.text, 'still here');
});

test('goAway() of a server of ours lets Node finish', async (t) => {
  const server = await echoServer(t);
  const client = nodeClient(t, server.port);
  const stream = client.request(CONNECT);
  await once(stream, 'response');
  server.sessions[0]?.session.goAway();
  await once(client, 'goaway');
  stream.end('still here');
  t.equal((await read(stream)).toString(), 'still here');
  t.strictSame(server.errors, []);
});

test('PING is answered, both ways', async (t) => {
  const server = await echoServer(t);
  const client = nodeClient(t, server.port);
  await once(client, 'connect');
  const payload = Buffer.from('12345678');
  const echoedBack = await new Promise<Buffer>((resolve, reject) => {
    client.ping(payload, (error, _ms, echoed) => (error ? reject(error) : resolve(echoed)));
  });
  t.strictSame(echoedBack, payload);
});

test('a server of ours reads every header value that Node may write, in Huffman code or not', async (t) => {
  const seen: (string | undefined)[] = [];
  const server = await listen(t, (stream, request) => {
    if (!('invalid' in request)) seen.push(request.baggage);
    stream.respond(200);
    stream.sendEnd();
  });
  const client = nodeClient(t, server.port);
  const values = Array.from(
    { length: 94 },
    (_, i) => `x${String.fromCharCode(0x21 + i).repeat(3)}`,
  );
  values.push('a,b=c;d "e"', 'k8s.namespace.name=shop,service.name=web', '~'.repeat(2000));
  for (const baggage of values) {
    const stream = client.request({ ...CONNECT, baggage });
    stream.end();
    await read(stream);
  }
  t.strictSame(seen, values);
});

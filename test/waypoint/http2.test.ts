/** The proxy with Node's own HTTP/2 as client and as server, and between the two protocols. */
import { once } from 'node:events';
import * as http2 from 'node:http2';
import { connect } from 'node:net';
import { test, type Test } from 'tap';
import { frame, literal, PREFACE_TEXT } from '../helpers/http2-wire.ts';
import {
  endpoint,
  eventually,
  http1Backend,
  http2Backend,
  rawBackend,
  rawClient,
  routesTo,
  startProxy,
} from '../helpers/waypoint-rig.ts';

const {
  HTTP2_HEADER_PATH: PATH,
  HTTP2_HEADER_METHOD: METHOD,
  HTTP2_HEADER_STATUS: STATUS,
} = http2.constants;

function client(t: Test, port: number): http2.ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  t.after(() => session.destroy());
  return session;
}

interface Whole {
  readonly status: number | undefined;
  readonly headers: http2.IncomingHttpHeaders;
  readonly trailers: http2.IncomingHttpHeaders;
  readonly body: string;
  readonly informed: readonly number[];
}

/** The whole of a response; rejects when its stream is reset. */
async function whole(stream: http2.ClientHttp2Stream): Promise<Whole> {
  const informed: number[] = [];
  let headers: http2.IncomingHttpHeaders = {};
  let trailers: http2.IncomingHttpHeaders = {};
  stream.on('headers', (found) => informed.push(Number(found[STATUS])));
  stream.on('response', (found) => (headers = found));
  stream.on('trailers', (found) => (trailers = found));
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'close');
  if (stream.rstCode !== 0) throw new Error(`reset with ${stream.rstCode}`);
  const body = Buffer.concat(chunks).toString('latin1');
  return { status: Number(headers[STATUS]), headers, trailers, body, informed };
}

test('requests of HTTP/2 reach a server of HTTP/1.1 and its answers come back', async (t) => {
  const backend = await http1Backend(t, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url, headers } = request;
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      response.setHeader('connection', 'keep-alive');
      response.end(
        JSON.stringify({ method, url, headers, body: Buffer.concat(chunks).toString() }),
      );
    });
  });
  const { port } = await startProxy(t, routesTo(backend));
  const session = client(t, port);
  const get = await whole(session.request({ [PATH]: '/a?b=c', cookie: ['x=1', 'y=2'] }));
  t.equal(get.status, 200);
  t.strictSame(get.headers['set-cookie'], ['a=1', 'b=2']);
  t.equal(get.headers['connection'], undefined);
  const seen: unknown = JSON.parse(get.body);
  t.match(seen, {
    method: 'GET',
    url: '/a?b=c',
    headers: { host: `127.0.0.1:${port}`, cookie: 'x=1; y=2' },
  });
  const post = session.request({ [METHOD]: 'POST', [PATH]: '/p' });
  post.end('some content');
  t.match(JSON.parse((await whole(post)).body), {
    body: 'some content',
    headers: { 'transfer-encoding': 'chunked' },
  });
  const empty = session.request({ [METHOD]: 'POST', [PATH]: '/p' }, { endStream: true });
  t.match(JSON.parse((await whole(empty)).body), { body: '', headers: { 'content-length': '0' } });
});

test('a call of gRPC streams both ways and ends with trailers', async (t) => {
  const backend = await http2Backend(t, (stream, headers) => {
    stream.respond(
      { [STATUS]: 200, 'content-type': 'application/grpc', 'x-te': headers['te'] },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () =>
      stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'well' }),
    );
    stream.on('data', (chunk: Buffer) => stream.write(chunk.toString().toUpperCase()));
    stream.on('end', () => stream.end());
  });
  const { port, counters } = await startProxy(
    t,
    routesTo({ ...backend, port: backend.port, protocol: 'http2' }),
  );
  const call = client(t, port).request({
    [METHOD]: 'POST',
    [PATH]: '/shop.Cart/Watch',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const result = whole(call);
  // Each message is answered before the next one is sent.
  for (const message of ['one', 'two', 'three']) {
    const answered = once(call, 'data');
    call.write(message);
    t.equal(String((await answered)[0]), message.toUpperCase());
  }
  call.end();
  const { status, headers, trailers } = await result;
  t.match({ status, te: headers['x-te'] }, { status: 200, te: 'trailers' });
  t.match(trailers, { 'grpc-status': '0', 'grpc-message': 'well' });
  t.equal(counters.read('status2xx'), 1);
});

test('many calls share one connection to the endpoint', async (t) => {
  const backend = await http2Backend(t, (stream) => {
    setTimeout(() => {
      stream.respond({ [STATUS]: 200 });
      stream.end('ok');
    }, 20);
  });
  const { port, counters } = await startProxy(
    t,
    routesTo({ port: backend.port, protocol: 'http2' }),
  );
  const session = client(t, port);
  const all = await Promise.all(
    Array.from({ length: 80 }, async () => whole(session.request({ [PATH]: '/' }))),
  );
  t.equal(all.filter(({ status, body }) => status === 200 && body === 'ok').length, 80);
  t.equal(counters.read('upstreamsOpened'), 1);
});

test('failures are told to calls of gRPC in their own way', async (t) => {
  const routes = JSON.stringify([
    { prefix: '/down', backends: [endpoint({ port: 1, protocol: 'http2' })] },
  ]);
  const { port } = await startProxy(t, routes);
  const session = client(t, port);
  for (const [path, grpc, http] of [
    ['/none.Service/Call', '12', 404],
    ['/down/Call', '14', 503],
  ] as const) {
    const call = session.request({
      [METHOD]: 'POST',
      [PATH]: path,
      'content-type': 'application/grpc',
    });
    call.end('x');
    const found = await whole(call);
    t.match([found.status, found.headers['grpc-status']], [200, grpc], path);
    const plain = await whole(session.request({ [PATH]: path }));
    t.equal(plain.status, http, `${path} without gRPC`);
  }
});

test('a reset passes on, and so does an end that is no end', async (t) => {
  const closed: number[] = [];
  const backend = await http2Backend(t, (stream, headers) => {
    stream.on('close', () => closed.push(stream.rstCode));
    stream.respond({ [STATUS]: 200 });
    stream.write('some');
    if (headers[PATH] === '/breaks') stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  });
  const { port, counters } = await startProxy(
    t,
    routesTo({ port: backend.port, protocol: 'http2' }),
  );
  const session = client(t, port);
  await t.rejects(whole(session.request({ [PATH]: '/breaks' })), /INTERNAL_ERROR/);
  t.equal(counters.read('cut'), 1);
  const given = session.request({ [PATH]: '/stays' });
  await once(given, 'data');
  given.close(http2.constants.NGHTTP2_CANCEL);
  await eventually(() => closed.length === 2, 'the endpoint hears of it');
  t.equal(closed[1], http2.constants.NGHTTP2_CANCEL);
  t.equal(session.destroyed, false);
});

test('a client of HTTP/1.1 reaches a server of HTTP/2, with chunks and trailers', async (t) => {
  const backend = await http2Backend(t, (stream, headers) => {
    stream.respond(
      { [STATUS]: 200, 'x-authority': headers[':authority'] },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '9' }));
    stream.pipe(stream);
  });
  const { port } = await startProxy(t, routesTo({ port: backend.port, protocol: 'http2' }));
  const raw = await rawClient(t, port);
  raw.send('POST / HTTP/1.1\nHost: shop.example\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n');
  const text = await raw.until('x-sum');
  t.match(text, /200 OK[^]*x-authority: shop\.example[^]*\r\n3\r\nabc\r\n0\r\nx-sum: 9\r\n\r\n/);
});

test('a response that comes before the whole request ends it without harm', async (t) => {
  const backend = await rawBackend(t, (socket) => {
    socket.once('data', () =>
      socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch'),
    );
  });
  const { port } = await startProxy(t, routesTo(backend));
  const session = client(t, port);
  const request = session.request({ [METHOD]: 'POST', [PATH]: '/' });
  request.write('x');
  const { status, body } = await whole(request);
  t.strictSame([status, body], [413, 'much']);
  t.equal(session.destroyed, false);
});

const HEADERS = 1;
const RST = 3;
const request = Buffer.concat([
  literal(':method', 'GET'),
  literal(':scheme', 'http'),
  literal(':authority', 'a'),
  literal(':path', '/'),
]);

test('floods of HTTP/2 end the connection that sends them, and no other', async (t) => {
  const backend = await http2Backend(t, () => undefined);
  const { port, host } = await startProxy(t, routesTo({ port: backend.port, protocol: 'http2' }));
  const good = client(t, port);
  await once(good, 'connect');
  const reset = Buffer.from([0, 0, 0, 8]);
  const floods = {
    'rapid reset': (id: number) =>
      Buffer.concat([frame(HEADERS, 5, id, request), frame(RST, 0, id, reset)]),
    pings: () => frame(6, 0, 0, Buffer.alloc(8)),
    settings: () => frame(4, 0, 0),
    'malformed requests': (id: number) => frame(HEADERS, 5, id, literal(':method', 'GET')),
  };
  for (const [name, make] of Object.entries(floods)) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
    await once(socket, 'connect');
    const frames = Array.from({ length: 3000 }, (_, i) => make(2 * i + 1));
    socket.write(Buffer.concat([Buffer.from(PREFACE_TEXT), frame(4, 0, 0), ...frames]));
    await once(socket, 'close');
    t.ok(received.includes(Buffer.from([0, 0, 0, 11])), `${name}: ENHANCE_YOUR_CALM`);
  }
  const other = routesTo(await http1Backend(t, (_, response) => response.end('alive')));
  host.post({ kind: 'routes', text: other });
  t.equal((await whole(good.request({ [PATH]: '/' }))).body, 'alive');
});

/** The proxy between clients and servers of HTTP/1.1. */
import { request as httpRequest, Agent, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { test } from 'tap';
import {
  eventually,
  http1Backend,
  rawBackend,
  rawClient,
  routesTo,
  startProxy,
} from '../helpers/waypoint-rig.ts';

const GET = 'GET / HTTP/1.1\nHost: a\n\n';

async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('latin1');
}

test('a request and its response pass whole, in each kind of framing', async (t) => {
  const seen: Record<string, unknown>[] = [];
  const backend = await http1Backend(t, (request, response) => {
    seen.push({ ...request.headers, method: request.method, url: request.url });
    if (request.headers['x-sized'] !== undefined) response.setHeader('content-length', '11');
    void bodyOf(request).then((body) => response.end(`got ${body}`.padEnd(11)));
  });
  const { port } = await startProxy(t, routesTo(backend));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  for (const [name, headers] of [
    ['sized', { 'content-length': '5', 'x-sized': '1' }],
    ['chunked', { 'transfer-encoding': 'chunked' }],
  ] as const) {
    const client = httpRequest({ port, agent, method: 'POST', path: '/p?q=1', headers });
    client.write('he');
    client.end('llo');
    const [response]: IncomingMessage[] = await once(client, 'response');
    if (response === undefined) throw new TypeError('no response');
    t.equal((await bodyOf(response)).trim(), 'got hello', name);
    t.match(seen.at(-1), { method: 'POST', url: '/p?q=1', ...headers }, name);
  }
  t.match(seen[0]?.['forwarded'], /^for="127\.0\.0\.1:\d+"$/);
});

test('what a client says of itself does not reach the application', async (t) => {
  const backend = await http1Backend(t, (request, response) => {
    response.end(
      JSON.stringify([
        request.headers.forwarded,
        request.headers['x-forwarded-client-cert'],
        request.headers['x-hop'],
        request.headers['x-end'],
      ]),
    );
  });
  const { port } = await startProxy(t, routesTo(backend));
  const client = await rawClient(t, port);
  client.send(
    'GET / HTTP/1.1\nHost: a\nForwarded: for=evil\nX-Forwarded-Client-Cert: URI=spiffe://x\nConnection: x-hop\nX-Hop: 1\nX-End: 2\n\n',
  );
  const text = await client.until('"2"]');
  t.match(text, /for=\\"127\.0\.0\.1:\d+\\"",null,null,"2"\]/);
});

test('pipelined requests are answered in order, over connections that are used again', async (t) => {
  const backend = await http1Backend(t, (request, response) => {
    setTimeout(() => response.end(`<${request.url}>`), request.url === '/0' ? 50 : 0);
  });
  const { port, counters } = await startProxy(t, routesTo(backend));
  const client = await rawClient(t, port);
  const urls = Array.from({ length: 20 }, (_, i) => `/${i}`);
  client.send(urls.map((url) => `GET ${url} HTTP/1.1\nHost: a\n\n`).join(''));
  const text = await client.until('</19>');
  t.strictSame(
    text.match(/<\/\d+>/g),
    urls.map((url) => `<${url}>`),
  );
  t.equal(counters.read('upstreamsOpened'), 1);
  t.equal(counters.read('requests'), 20);
});

test('responses without content end with their head', async (t) => {
  const backend = await http1Backend(t, (request, response) => {
    if (request.url === '/304') response.writeHead(304, { etag: '"x"' });
    else response.setHeader('content-length', '5');
    response.end(request.method === 'HEAD' || request.url === '/304' ? undefined : 'hello');
  });
  const { port } = await startProxy(t, routesTo(backend));
  const client = await rawClient(t, port);
  client.send(`HEAD / HTTP/1.1\nHost: a\n\nGET /304 HTTP/1.1\nHost: a\n\n${GET}`);
  const text = await client.until('hello');
  t.equal(text.split('hello').length, 2);
  t.match(text, /200 OK[^]*content-length: 5[^]*304 Not Modified[^]*200 OK/i);
});

test('a response until the end of its connection becomes chunks, or ends the one of HTTP/1.0', async (t) => {
  const backend = await rawBackend(t, (socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\nall of it'));
  });
  const { port } = await startProxy(t, routesTo(backend));
  const client = await rawClient(t, port);
  client.send(GET);
  t.match(
    await client.until('\r\n0\r\n\r\n'),
    /transfer-encoding: chunked\r\n\r\n9\r\nall of it\r\n/,
  );
  const old = await rawClient(t, port);
  old.send('GET / HTTP/1.0\nHost: a\n\n');
  t.match(await old.ended(), /connection: close\r\n\r\nall of it$/);
});

test('trailers pass, and what informs comes before the response', async (t) => {
  const backend = await rawBackend(t, (socket) => {
    socket.once('data', () =>
      socket.write(
        'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n',
      ),
    );
  });
  const { port } = await startProxy(t, routesTo(backend));
  const client = await rawClient(t, port);
  client.send('GET / HTTP/1.1\nHost: a\nTE: trailers\n\n');
  t.match(
    await client.until('X-Sum'),
    /103 Early Hints\r\nLink[^]*200 OK[^]*\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n/,
  );
});

test('a client that expects 100 gets it from the application, which may refuse instead', async (t) => {
  const backend = await http1Backend(t, (_, response) => response.writeHead(413).end());
  backend.on('checkContinue', (request: IncomingMessage, response) => {
    if (request.url === '/no') {
      response.writeHead(403, { 'content-length': 2 });
      response.end('no');
      return;
    }
    response.writeContinue();
    void bodyOf(request).then((body) => response.end(`got ${body}`));
  });
  const { port } = await startProxy(t, routesTo(backend));
  const head = (path: string): string =>
    `POST ${path} HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 3\n\n`;
  const client = await rawClient(t, port);
  client.send(head('/yes'));
  await client.until('100 Continue');
  client.send('abc');
  await client.until('got abc');
  const refused = await rawClient(t, port);
  refused.send(head('/no'));
  t.match(
    await refused.ended(),
    /403 Forbidden[^]*no$/,
    'and the connection ends: the content never came',
  );
});

test('an upgrade becomes a tunnel both ways, until both have ended', async (t) => {
  const backend = await http1Backend(t, (_, response) => response.end());
  backend.on('upgrade', (_request, socket) => {
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ',
    );
    socket.on('data', (chunk: Buffer) => socket.write(chunk.toString('latin1').toUpperCase()));
    socket.on('end', () => socket.end('bye'));
  });
  const { port, counters } = await startProxy(t, routesTo(backend));
  const client = await rawClient(t, port);
  client.send('GET /ws HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: echo\n\n');
  t.match(
    await client.until('hello '),
    /101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello $/,
  );
  client.send('abc');
  await client.until('ABC');
  client.socket.end();
  t.match(await client.ended(), /ABCbye$/);
  await eventually(
    () => counters.read('connectionsOpen') === 0 && counters.read('upstreamsOpen') === 0,
    'no connections',
  );
});

test('events come as they are sent, long before the response ends', async (t) => {
  let send: (text: string) => void = () => undefined;
  const backend = await http1Backend(t, (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    send = (text) => void response.write(text);
  });
  const { port } = await startProxy(t, routesTo(backend));
  const client = await rawClient(t, port);
  client.send(GET);
  await client.until('text/event-stream');
  send('data: 1\n\n');
  await client.until('data: 1');
  send('data: 2\n\n');
  t.notMatch(await client.until('data: 2'), '\r\n0\r\n');
});

test('a response that breaks off is cut for the client as well', async (t) => {
  const backend = await rawBackend(t, (socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'));
  });
  const { port, counters } = await startProxy(t, routesTo(backend));
  const client = await rawClient(t, port);
  client.send(GET);
  await client.ended();
  t.equal(client.isReset(), true);
  t.equal(counters.read('cut'), 1);
});

test('a client that half-closes while its response is on the way gets all of it', async (t) => {
  const length = 24 * 1024 * 1024;
  let isSent = false;
  const backend = await http1Backend(t, (_, response) => {
    response.writeHead(200, { 'content-length': length });
    for (let at = 0; at < length; at += 65_536) response.write(Buffer.alloc(65_536));
    response.end();
    response.on('finish', () => (isSent = true));
  });
  const { port, counters } = await startProxy(t, routesTo(backend));
  const client = await rawClient(t, port);
  client.send(GET);
  await client.until('content-length');
  client.socket.pause();
  client.socket.end();
  await new Promise((resolve) => void setTimeout(resolve, 100));
  client.socket.resume();
  const text = await client.ended();
  t.equal(text.length - text.indexOf('\r\n\r\n') - 4, length);
  t.equal(isSent, true);
  await eventually(() => counters.read('connectionsOpen') === 0, 'no connections');
});

test('failures are told by status and reason', async (t) => {
  const broken = await rawBackend(t, (socket) => {
    socket.once('data', () =>
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'),
    );
  });
  const slow = await rawBackend(t, () => undefined);
  const routes = [
    { host: 'none.example', backends: [] },
    { host: 'refused.example', backends: [{ address: '127.0.0.1', port: 1 }] },
    { host: 'broken.example', backends: [{ address: '127.0.0.1', port: broken.port }] },
    { host: 'slow.example', timeoutMs: 200, backends: [{ address: '127.0.0.1', port: slow.port }] },
  ];
  const { port } = await startProxy(t, JSON.stringify(routes));
  const client = await rawClient(t, port);
  let times = 0;
  for (const [host, status, reason] of [
    ['none.example', 503, 'NO_HEALTHY_ENDPOINT'],
    ['refused.example', 503, 'CONNECT_FAILED'],
    ['broken.example', 502, 'HTTP1_PROTOCOL_ERROR'],
    ['slow.example', 504, 'REQUEST_TIMEOUT'],
    ['other.example', 404, 'NO_ROUTE'],
  ] as const) {
    client.send(`GET / HTTP/1.1\nHost: ${host}\n\n`);
    times += 1;
    const text = await client.until('text/plain; charset=utf-8', times);
    t.match(
      text.slice(text.lastIndexOf('HTTP/1.1')),
      new RegExp(`^HTTP/1.1 ${status} [^]*plumbline-reason: ${reason}\r`),
      host,
    );
  }
});

test('an endpoint that gives up an unused connection costs no request', async (t) => {
  const backend = await rawBackend(t, (socket, nth) => {
    let count = 0;
    socket.on('data', () => {
      count += 1;
      // The first connection answers once, and ends when it is used again.
      if (nth === 1 && count === 2) socket.destroy();
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  const { port, counters } = await startProxy(t, routesTo(backend));
  const client = await rawClient(t, port);
  client.send(GET);
  await client.until('ok\r\n', 0);
  await client.until('\r\n\r\nok');
  client.send(GET);
  await client.until('\r\n\r\nok', 2);
  t.equal(counters.read('retries'), 1);
  const posting = await rawClient(t, port);
  posting.send('POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n');
  await posting.until('\r\n\r\nok');
  t.equal(counters.read('upstreamsOpened'), 2, 'the second connection is used again');
});

test('bytes that an endpoint sends without a request end its connection', async (t) => {
  const backend = await rawBackend(t, (socket, nth) => {
    socket.on('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      if (nth === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil');
    });
  });
  const { port } = await startProxy(t, routesTo(backend));
  const client = await rawClient(t, port);
  for (let i = 1; i <= 3; i += 1) {
    client.send(GET);
    await client.until('\r\n\r\nok', i);
  }
  t.notMatch(client.text(), 'evil');
});

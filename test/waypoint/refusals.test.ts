/** What a client may not do: over real sockets, with the next client served all the same. */
import { test } from 'tap';
import {
  eventually,
  http1Backend,
  rawClient,
  routesTo,
  startProxy,
} from '../helpers/waypoint-rig.ts';

const HOST = 'Host: a\n';

test('a request that could be smuggled is refused by status, and its connection ends', async (t) => {
  const seen: string[] = [];
  const backend = await http1Backend(t, (request, response) => {
    seen.push(request.url ?? '');
    request.resume();
    response.end('ok');
  });
  const { port, counters } = await startProxy(t, routesTo(backend));
  const smuggled = 'GET /smuggled HTTP/1.1\nHost: a\n\n';
  for (const [name, text, status] of [
    [
      'both framings',
      `POST / HTTP/1.1\n${HOST}Content-Length: 4\nTransfer-Encoding: chunked\n\n0\n\n${smuggled}`,
      400,
    ],
    [
      'two lengths',
      `POST / HTTP/1.1\n${HOST}Content-Length: 0\nContent-Length: 40\n\n${smuggled}`,
      400,
    ],
    [
      'an odd coding',
      `POST / HTTP/1.1\n${HOST}Transfer-Encoding: chunked, x\n\n0\n\n${smuggled}`,
      501,
    ],
    ['a space before the colon', `POST / HTTP/1.1\n${HOST}Content-Length : 40\n\n${smuggled}`, 400],
    ['a folded line', `GET / HTTP/1.1\n${HOST}X: a\n b\n\n`, 400],
    ['two hosts', `GET / HTTP/1.1\n${HOST}${HOST}\n`, 400],
    ['another host in the target', `GET http://b/ HTTP/1.1\n${HOST}\n`, 400],
    ['CONNECT', `CONNECT a:80 HTTP/1.1\nHost: a:80\n\n`, 501],
    ['a large head', `GET / HTTP/1.1\n${HOST}${`X: ${'y'.repeat(8000)}\n`.repeat(9)}\n`, 431],
    ['a long target', `GET /${'y'.repeat(20_000)} HTTP/1.1\n${HOST}\n`, 414],
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\n', 400],
  ] as const) {
    const client = await rawClient(t, port);
    client.send(text);
    t.match(await client.ended(), new RegExp(`^HTTP/1.1 ${status} [^]*REQUEST_INVALID`), name);
    t.notMatch(client.text(), 'ok', name);
  }
  t.strictSame(seen, []);
  const good = await rawClient(t, port);
  good.send(`GET /good HTTP/1.1\n${HOST}\n`);
  await good.until('ok');
  t.strictSame(seen, ['/good']);
  t.ok(counters.read('badMessages') >= 11);
});

test('a body that breaks off or breaks the rules reaches nobody as a whole one', async (t) => {
  const seen: string[] = [];
  const backend = await http1Backend(t, (request, response) => {
    seen.push('begun');
    request.on('error', () => seen.push('cut'));
    request.on('end', () => seen.push('whole'));
    request.resume();
    request.on('close', () => response.end());
  });
  const { port } = await startProxy(t, routesTo(backend));
  for (const [name, head, rest] of [
    ['a bad chunk', 'Transfer-Encoding: chunked\n\n3\n', 'abcd\n0\n\n'],
    ['an early end', 'Content-Length: 10\n\n', 'abc'],
  ] as const) {
    const client = await rawClient(t, port);
    client.send(`POST / HTTP/1.1\n${HOST}${head}`);
    await eventually(() => seen.length === 1, 'the request');
    client.send(rest);
    client.socket.end();
    await client.ended();
    await eventually(() => seen.length === 2, 'its end');
    t.strictSame(seen.splice(0), ['begun', 'cut'], name);
  }
});

test('a client that never ends its head, or never begins one, is not waited for', async (t) => {
  const backend = await http1Backend(t, (_, response) => response.end('ok'));
  const { port, counters } = await startProxy(t, routesTo(backend));
  const slow = await rawClient(t, port);
  const silent = await rawClient(t, port);
  const telling = await rawClient(t, port);
  slow.send(`GET / HTTP/1.1\n${HOST}`);
  telling.send('GE');
  // A byte now and then does not help.
  const drip = setInterval(() => slow.send('X: y\n'), 500);
  t.teardown(() => clearInterval(drip));
  t.match(await slow.ended(), /^HTTP\/1\.1 408 /);
  t.equal(await silent.ended(), '');
  t.match(await telling.ended(), /^HTTP\/1\.1 408 /);
  t.equal(counters.read('timeouts'), 3);
  const good = await rawClient(t, port);
  good.send(`GET / HTTP/1.1\n${HOST}\n`);
  await good.until('ok');
});

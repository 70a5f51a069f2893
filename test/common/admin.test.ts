import { request as httpRequest } from 'node:http';
import { once } from 'node:events';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { test, type Test } from 'tap';
import { AdminServer, json, MOST_FROM_ONE, text } from '../../common/admin.ts';
import { createLogger } from '../../common/log.ts';

const { log } = createLogger({ format: 'json', level: 'error', sink: { write: () => true } });

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new TypeError('no port');
  return address.port;
}

async function setUp(t: Test) {
  const directory = mkdtempSync('/tmp/plumb-admin-');
  const path = `${directory}/a.sock`;
  const port = await freePort();
  const server = new AdminServer({
    name: 'admin',
    log,
    maxBodyBytes: 10,
    listen: [{ host: '127.0.0.1', port, localOnly: true }, { path }],
    routes: [
      {
        method: 'GET',
        path: '/hello',
        about: 'greets',
        answer: ({ query }) => json({ who: query.get('who') }),
      },
      { method: 'POST', path: '/echo', about: 'repeats', answer: ({ body }) => text(body) },
      {
        method: 'GET',
        path: '/bad',
        about: 'fails',
        answer: async () => Promise.reject(new Error('no luck')),
      },
    ],
  });
  await server.start();
  t.after(async () => {
    await server.stop();
    rmSync(directory, { recursive: true });
  });
  const ask = async (options: {
    path: string;
    method?: string;
    body?: string;
    host?: string;
    socket?: boolean;
  }) => {
    const request = httpRequest({
      ...(options.socket === true ? { socketPath: path } : { host: '127.0.0.1', port }),
      path: options.path,
      method: options.method ?? 'GET',
      headers: { host: options.host ?? 'localhost' },
    });
    request.end(options.body);
    const [response] = await once(request, 'response');
    let body = '';
    for await (const chunk of response) body += String(chunk);
    return { status: Number(response.statusCode), body };
  };
  return { ask, path, server };
}

test('AdminServer answers by its table, and lists it', async (t) => {
  const { ask } = await setUp(t);
  t.match(await ask({ path: '/hello?who=me' }), { status: 200, body: '{\n  "who": "me"\n}\n' });
  t.match(await ask({ path: '/' }), { status: 200, body: /GET \/hello {2}greets/ });
  t.match(await ask({ path: '/other' }), { status: 404 });
  t.match(await ask({ path: '/echo' }), { status: 405, body: /use POST/ });
  t.match(await ask({ path: '/bad' }), { status: 500, body: 'no luck\n' });
});

test('AdminServer bounds request bodies', async (t) => {
  const { ask } = await setUp(t);
  t.match(await ask({ path: '/echo', method: 'POST', body: '0123456789' }), {
    status: 200,
    body: '0123456789',
  });
  t.match(await ask({ path: '/echo', method: 'POST', body: '0123456789a' }), { status: 413 });
});

test('AdminServer on loopback refuses a foreign Host, on a Unix socket the file mode guards', async (t) => {
  const { ask, path } = await setUp(t);
  t.match(await ask({ path: '/hello', host: 'evil.example' }), { status: 403 });
  t.match(await ask({ path: '/hello', host: '127.0.0.1:15000' }), { status: 200 });
  t.match(await ask({ path: '/hello', host: 'anything', socket: true }), { status: 200 });
  t.equal(statSync(path).mode & 0o777, 0o600);
});

test('AdminServer leaves its path to a successor that has taken it', async (t) => {
  const { ask, path, server } = await setUp(t);
  t.match(readlinkSync(path), /^a\.sock\.[0-9a-f]{8}$/);
  rmSync(path);
  symlinkSync('a.sock.of-the-successor', path);
  await server.stop();
  t.equal(readlinkSync(path), 'a.sock.of-the-successor');
  await t.rejects(ask({ path: '/hello' }));
});

test('AdminServer that ends takes nothing from one that serves the same path by now', async (t) => {
  const { ask, path, server } = await setUp(t);
  const answer = () => ({ body: 'from the successor' });
  const route = { method: 'GET', path: '/hello', about: 'says it', answer } as const;
  const successor = new AdminServer({ name: 'admin', log, listen: [{ path }], routes: [route] });
  await successor.start();
  t.after(async () => successor.stop());
  await server.stop();
  t.match(await ask({ path: '/hello', socket: true }), { body: 'from the successor' });
});

test('AdminServer clears away sockets whose process was killed', async (t) => {
  const directory = mkdtempSync('/tmp/plumb-admin-');
  t.after(() => rmSync(directory, { recursive: true }));
  const path = `${directory}/a.sock`;
  const script = `require('net').createServer().listen('${path}.0123abcd', () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script]);
  const server = new AdminServer({ name: 'admin', log, listen: [{ path }], routes: [] });
  await server.start();
  await server.stop();
  t.ok(existsSync(`${path}.0123abcd`), 'a young one may be about to listen');
  utimesSync(`${path}.0123abcd`, 1, 1);
  await server.start();
  t.after(async () => server.stop());
  t.notOk(existsSync(`${path}.0123abcd`));
});

test('AdminServer gives no address more than its share of connections', async (t) => {
  const port = await freePort();
  const server = new AdminServer({
    name: 'metrics',
    log,
    listen: [{ host: '127.0.0.1', port, localOnly: false }],
    routes: [{ method: 'GET', path: '/', about: 'says ok', answer: () => text('ok') }],
  });
  await server.start();
  const idle = Array.from({ length: MOST_FROM_ONE }, () => connect(port, '127.0.0.1'));
  t.after(async () => {
    for (const socket of idle) socket.destroy();
    await server.stop();
  });
  await Promise.all(idle.map(async (socket) => once(socket, 'connect')));
  const over = connect(port, '127.0.0.1');
  over.on('error', () => {});
  await once(over, 'close');
  const neighbour = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
  neighbour.end('GET / HTTP/1.0\r\n\r\n');
  const [answer] = await once(neighbour, 'data');
  t.match(String(answer), /^HTTP\/1.1 200/, 'another address has its own');
  idle.pop()?.destroy();
  t.equal(await answered(port), true, 'and what is free again may be used again');
});

/** Whether a request gets an answer; a connection that just ended may count for a moment still. */
async function answered(port: number): Promise<boolean> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const client = connect(port, '127.0.0.1');
    client.on('error', () => {});
    client.end('GET / HTTP/1.0\r\n\r\n');
    const data = await Promise.race([once(client, 'data'), once(client, 'close').then(() => [])]);
    if (data.length > 0) return true;
  }
  return false;
}

import { request as httpRequest } from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, readlinkSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { test, type Test } from 'tap';
import { AdminServer, json, text } from '../../common/admin.ts';
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
  t.equal(readlinkSync(path), `a.sock.${process.pid}`);
  rmSync(path);
  symlinkSync('a.sock.of-the-successor', path);
  await server.stop();
  t.equal(readlinkSync(path), 'a.sock.of-the-successor');
  await t.rejects(ask({ path: '/hello' }));
});

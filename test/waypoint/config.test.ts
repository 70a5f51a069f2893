/** What a waypoint is told: flags and the file of routes, each problem by its name. */
import { test } from 'tap';
import { MeshError } from '#common/errors.ts';
import { readConfig } from '../../waypoint/config.ts';
import { StaticRoutes } from '../../waypoint/proxy/static-routes.ts';
import { callerOf, type RequestView } from '../../waypoint/proxy/router.ts';

const FLAGS = {
  listen: ['127.0.0.1:8080', '[::]:80'],
  routes: 'routes.json',
  agentUid: '0',
  workers: '2',
  drain: '5s',
  adminPort: '15000',
  metricsPort: '0',
  logLevel: 'info',
  logFormat: 'json',
};

function problemOf(work: () => unknown): string {
  try {
    work();
    return '';
  } catch (error) {
    if (!(error instanceof MeshError) || error.code !== 'CONFIG_INVALID') throw error;
    return error.message;
  }
}

test('readConfig() takes good flags and names each bad one', async (t) => {
  t.match(readConfig(FLAGS), {
    listen: [
      { address: '127.0.0.1', port: 8080 },
      { address: '::', port: 80 },
    ],
    workers: 2,
    drainMs: 5000,
  });
  t.equal(readConfig({ ...FLAGS, listen: [], link: 'plumbline' }).link, 'plumbline');
  for (const [flags, part] of [
    [{ listen: ['localhost:80'] }, '--listen: expected ADDRESS:PORT'],
    [{ listen: [] }, '--listen: expected'],
    [{ link: 'a/b' }, '--link: expected'],
    [{ routes: undefined }, '--routes: expected'],
    [{ workers: '0' }, '--workers: expected 1 to 64, found "0"'],
    [{ drain: 'soon' }, '--drain: expected'],
    [{ agentUid: '-1' }, '--agent-uid: expected'],
    [{ adminPort: '70000' }, '--admin-port: expected'],
    [{ logLevel: 'loud' }, '--log-level: expected one of'],
  ] as const) {
    t.ok(problemOf(() => readConfig({ ...FLAGS, ...flags })).includes(part), part);
  }
});

function view(
  host: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): RequestView {
  return { method: 'GET', host, path, query: '', header: (name) => headers[name] };
}

const NOBODY = callerOf('', '', '');
const backend = (port: number, more: object = {}): object => ({
  address: '10.0.0.1',
  port,
  ...more,
});

test('StaticRoutes takes the first rule that fits, and splits by weight', async (t) => {
  let point = 0;
  const routes = new StaticRoutes(
    JSON.stringify([
      { host: 'A.example', prefix: '/api', backends: [backend(1)] },
      {
        prefix: '/x',
        header: { 'x-env': 'prod' },
        backends: [backend(2, { weight: 9 }), backend(3, { weight: 1 })],
      },
      { prefix: '/none', backends: [backend(4, { weight: 0 })] },
    ]),
    () => point,
  );
  const portOf = (request: RequestView): number | string => {
    const found = routes.decide(request, NOBODY);
    return found.kind === 'forward' ? found.to.port : found.reason;
  };
  t.equal(portOf(view('a.example', '/api/cart')), 1);
  t.equal(portOf(view('a.example', '/api')), 1);
  t.equal(portOf(view('a.example', '/apis')), 'NO_ROUTE');
  t.equal(portOf(view('b.example', '/api')), 'NO_ROUTE');
  t.equal(portOf(view('b', '/x', { 'x-env': 'prod' })), 2);
  point = 0.95;
  t.equal(portOf(view('b', '/x', { 'x-env': 'prod' })), 3);
  t.equal(portOf(view('b', '/x', { 'x-env': 'test' })), 'NO_ROUTE');
  t.equal(portOf(view('b', '/none')), 'NO_HEALTHY_ENDPOINT');
});

test('StaticRoutes names the place of what is wrong', async (t) => {
  for (const [text, part] of [
    ['{', 'no JSON'],
    ['{}', 'routes: expected a list'],
    ['[{"backends":[],"hosts":"a"}]', 'routes[0]: expected one of host'],
    [
      '[{"backends":[{"address":"a","port":1}]}]',
      'routes[0].backends[0].address: expected an IP address',
    ],
    ['[{"backends":[{"address":"10.0.0.1","port":0}]}]', 'backends[0].port: expected 1 to 65535'],
    [
      '[{"backends":[{"address":"10.0.0.1","port":1,"protocol":"h3"}]}]',
      '.protocol: expected "http1" or "http2"',
    ],
    ['[{"backends":[],"set":{"a b":"c"}}]', 'routes[0].set.a b: expected a field name'],
    ['[{"backends":[],"set":{"a":"b\\r\\nc"}}]', 'routes[0].set.a: expected'],
    ['[{"backends":[],"prefix":"x"}]', 'routes[0].prefix: expected a path'],
  ] as const) {
    t.ok(problemOf(() => new StaticRoutes(text)).includes(part), part);
  }
});

/** Routes, policies and balancing of the mesh, carried out by the proxy over real sockets. */
import { test, type Test } from 'tap';
import type { HttpPolicy } from '#common/mesh/http-policy.ts';
import type { Route } from '#common/mesh/route.ts';
import { Destinations, MeshRouter } from '../../waypoint/proxy/mesh-router.ts';
import { callerOf } from '../../waypoint/proxy/router.ts';
import { backs, service, workload } from '../helpers/mesh-build.ts';
import { fullPolicy } from '../helpers/route-samples.ts';
import { backend, exact, frontend, match, prefix, request, route } from '../helpers/routes.ts';
import { http1Backend, rawBackend, startProxy, type Proxy } from '../helpers/waypoint-rig.ts';

const LISTENER = 'gateway/shop/edge/web';

interface Ports {
  readonly cart: number;
  readonly v2: number;
}

/** What the waypoint is told: two services at ports of this machine, and these routes. */
function told(
  ports: Ports,
  routes: readonly Route[],
  policies: readonly HttpPolicy[] = [],
): string {
  const at = (name: string, port: number) => {
    const made = service(name, {
      addresses: [name === 'cart' ? '10.32.0.1' : '10.32.0.2'],
      ports: [{ name: 'http', port: 80, targetPort: port, appProtocol: '' }],
    });
    const entry = workload(name, {
      uid: `Kubernetes/networking.istio.io/WorkloadEntry/shop/${name}`,
      addresses: ['127.0.0.1'],
      tunnel: 'none',
      ...backs(made),
    });
    return { made, entry };
  };
  const [cart, v2] = [at('cart', ports.cart), at('cart-v2', ports.v2)];
  return JSON.stringify({
    gateway: 'shop/edge',
    listener: LISTENER,
    services: [cart.made, v2.made],
    workloads: [cart.entry, v2.entry],
    frontends: [
      frontend(routes, { key: LISTENER, kind: 'gateway' }),
      frontend(routes, { key: `${cart.made.key}:80` }),
    ],
    policies,
  });
}

const CART = service('cart').key;
const V2 = service('cart-v2').key;

async function setUp(t: Test, routes: readonly Route[], policies: readonly HttpPolicy[] = []) {
  const server = (name: string) =>
    http1Backend(t, (asked, response) => {
      response.setHeader('x-kept', 'yes');
      response.setHeader('x-gone', 'yes');
      response.end(JSON.stringify({ name, url: asked.url, headers: asked.headers }));
    });
  const [cart, v2] = [await server('cart'), await server('cart-v2')];
  const proxy = await startProxy(t, told({ cart: cart.port, v2: v2.port }, routes, policies));
  return { proxy, cart, v2 };
}

function ask({ port }: Proxy, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}${path}`, { redirect: 'manual', ...init });
}

/** What the server has seen: its own name, the path, and all of it as text. */
async function seen(response: Response): Promise<Record<'name' | 'url' | 'text', string>> {
  const text = await response.text();
  const [, name = ''] = /"name":"([^"]*)"/.exec(text) ?? [];
  const [, url = ''] = /"url":"([^"]*)"/.exec(text) ?? [];
  return { name, url, text };
}

test('a route rewrites, changes headers both ways, and chooses by header and path', async (t) => {
  const change = {
    kind: 'request-headers',
    set: [{ name: 'x-set', value: '1' }],
    add: [{ name: 'x-came', value: '2' }],
    remove: ['x-secret'],
  } as const;
  const { proxy } = await setUp(t, [
    route('r', [
      {
        matches: [
          match({ ...prefix('/api'), headers: [{ name: 'x-v', kind: 'exact', value: '2' }] }),
        ],
        filters: [
          change,
          { kind: 'response-headers', set: [], add: [], remove: ['x-gone'] },
          { kind: 'rewrite', hostname: 'v2.shop', path: { kind: 'prefix', value: '/' } },
        ],
        backends: [backend('x', 1, { service: V2 })],
      },
      { backends: [backend('x', 1, { service: CART })] },
    ]),
  ]);
  const plain = await ask(proxy, '/api/items?a=1');
  t.match(await seen(plain), { name: 'cart', url: '/api/items?a=1' });
  const changed = await ask(proxy, '/x/../api//items?a=1', {
    headers: { 'x-v': '2', 'x-came': '1', 'x-secret': 's' },
  });
  const { name, url, text } = await seen(changed);
  t.strictSame([name, url], ['cart-v2', '/items?a=1']);
  for (const field of ['"x-set":"1"', '"x-came":"1,2"', '"host":"v2.shop"']) t.match(text, field);
  t.notMatch(text, 'x-secret');
  t.equal(changed.headers.get('x-kept'), 'yes');
  t.equal(changed.headers.get('x-gone'), null);
});

test('redirects, preflights, unknown paths and backends that are not there are answered', async (t) => {
  const cors = {
    kind: 'cors',
    allowOrigins: ['https://shop.example'],
    allowCredentials: false,
    allowMethods: ['PUT'],
    allowHeaders: [],
    exposeHeaders: ['x-kept'],
    maxAgeSeconds: 5,
  } as const;
  const { proxy } = await setUp(t, [
    route('r', [
      {
        matches: [match(exact('/old'))],
        filters: [
          {
            kind: 'redirect',
            scheme: 'https',
            hostname: 'new.example',
            port: 0,
            path: undefined,
            status: 301,
          },
        ],
      },
      { matches: [match(exact('/gone'))], backends: [backend('nobody', 1, { service: '' })] },
      {
        matches: [match(exact('/cors'))],
        filters: [cors],
        backends: [backend('x', 1, { service: CART })],
      },
    ]),
  ]);
  const moved = await ask(proxy, '/old?q');
  t.strictSame([moved.status, moved.headers.get('location')], [301, 'https://new.example/old?q']);
  const gone = await ask(proxy, '/gone');
  t.equal(gone.status, 500);
  const missing = await ask(proxy, '/nowhere');
  t.strictSame([missing.status, missing.headers.get('plumbline-reason')], [404, 'NO_ROUTE']);
  const headers = { origin: 'https://shop.example', 'access-control-request-method': 'PUT' };
  const preflight = await ask(proxy, '/cors', { method: 'OPTIONS', headers });
  t.equal(preflight.status, 204);
  t.equal(preflight.headers.get('access-control-allow-methods'), 'PUT');
  const actual = await ask(proxy, '/cors', { headers: { origin: 'https://shop.example' } });
  t.equal(actual.headers.get('access-control-allow-origin'), 'https://shop.example');
  t.equal(actual.headers.get('access-control-expose-headers'), 'x-kept');
  const other = await ask(proxy, '/cors', { headers: { origin: 'https://evil.example' } });
  t.equal(other.headers.get('access-control-allow-origin'), null);
});

test('policy refuses before any route, however the path is spelled', async (t) => {
  const rules = [
    { name: 'rules[0]', clauses: [{ matches: [{ paths: ['/admin', '/admin/{**}'] }] }] },
  ];
  const deny = { ...fullPolicy, action: 'deny', targets: ['Gateway/shop/edge'], rules } as const;
  const custom = {
    ...deny,
    key: 'http-authorization/shop/c',
    action: 'custom',
    provider: 'opa',
    rules: [{ name: 'rules[0]', clauses: [{ matches: [{ paths: ['/ask'] }] }] }],
  } as const;
  const { proxy } = await setUp(
    t,
    [route('r', [{ backends: [backend('x', 1, { service: CART })] }])],
    [deny, custom],
  );
  const status = async (path: string): Promise<number> => (await ask(proxy, path)).status;
  t.equal(await status('/items'), 200);
  t.equal(await status('/admin'), 403);
  t.equal(await status('/%61dmin/x'), 403);
  t.equal(await status('/x%2F..%2Fadmin'), 403);
  t.equal(await status('/ask'), 403, 'who cannot be asked has not said yes');
});

test('weights divide requests, and a session keeps its endpoint', async (t) => {
  const persistence = {
    kind: 'cookie',
    name: 'stay',
    isPermanent: false,
    absoluteTimeoutMs: 0,
    idleTimeoutMs: 0,
  } as const;
  const { proxy } = await setUp(t, [
    route('r', [
      {
        matches: [match(exact('/split'))],
        backends: [backend('a', 7, { service: CART }), backend('b', 3, { service: V2 })],
      },
      { persistence, backends: [backend('a', 1, { service: CART })] },
    ]),
  ]);
  let canary = 0;
  for (let i = 0; i < 200; i += 1) {
    const { name } = await seen(await ask(proxy, '/split'));
    if (name === 'cart-v2') canary += 1;
  }
  t.ok(canary > 30 && canary < 90, `${canary} of 200 at weight 3 of 10`);
  const first = await ask(proxy, '/');
  const cookie = first.headers.get('set-cookie')?.split(';')[0] ?? '';
  t.match(cookie, /^stay=\w+\.\w+\.\w+$/);
  const again = await ask(proxy, '/', { headers: { cookie } });
  t.equal(again.headers.get('set-cookie'), null);
});

test('a request that takes longer than its route allows is answered 504', async (t) => {
  const silent = await rawBackend(t, () => undefined);
  const timeouts = { requestMs: 200, backendRequestMs: 0 };
  const routes = [route('r', [{ timeouts, backends: [backend('x', 1, { service: CART })] }])];
  const proxy = await startProxy(t, told({ cart: silent.port, v2: silent.port }, routes));
  const late = await ask(proxy, '/');
  t.strictSame([late.status, late.headers.get('plumbline-reason')], [504, 'REQUEST_TIMEOUT']);
});

test('routes that have changed hold for the next request; what is no route is refused', async (t) => {
  const to = (key: string) => [route('r', [{ backends: [backend('x', 1, { service: key })] }])];
  const { proxy, cart, v2 } = await setUp(t, to(CART));
  const nameOf = async (): Promise<string> => (await seen(await ask(proxy, '/'))).name;
  t.equal(await nameOf(), 'cart');
  proxy.host.post({ kind: 'routes', text: told({ cart: cart.port, v2: v2.port }, to(V2)) });
  let name = '';
  for (let i = 0; i < 500 && name !== 'cart-v2'; i += 1) name = await nameOf();
  t.equal(name, 'cart-v2');
  const deps = {
    random: () => 0,
    now: () => 0,
    wallClock: () => 0,
    destinations: new Destinations(),
  };
  t.throws(() => new MeshRouter('{"gateway":1}', deps), { code: 'MESSAGE_INVALID' });
});

test('MeshRouter goes by the address that a caller asked for, and by who it is', async (t) => {
  const deps = {
    random: () => 0,
    now: () => 0,
    wallClock: () => 0,
    destinations: new Destinations(),
  };
  const own = [route('own', [{ backends: [backend('x', 1, { service: CART })] }])];
  const text = told({ cart: 1001, v2: 1002 }, own);
  const router = new MeshRouter(text, deps);
  const at = (authority: string): string => {
    const decision = router.decide(request('/'), callerOf('', '10.0.0.9:5000', authority));
    return decision.kind === 'forward' ? `${decision.to.port}` : `${decision.status}`;
  };
  t.equal(at('10.32.0.1:80'), '1001');
  t.equal(at('10.32.0.2:80'), '1002', 'a service without routes goes on to itself');
  t.equal(at('cart.shop.svc.cluster.local:80'), '1001');
  t.equal(at('10.32.0.1:81'), '503', 'no such port');
  t.equal(at('10.64.0.1:8080'), '404', 'addresses of pods are not served yet');
  const again = new MeshRouter(text, deps).decide(request('/'), callerOf('', '', '10.32.0.1:80'));
  const first = router.decide(request('/'), callerOf('', '', '10.32.0.1:80'));
  t.ok(first.kind === 'forward' && again.kind === 'forward' && first.to === again.to, 'one object');
});

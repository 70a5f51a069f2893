import { test } from 'tap';
import { HttpAuthorizer } from '#common/decide/http-authorize.ts';
import { identityOf } from '#common/identity.ts';
import { DEFAULT_BACKEND_POLICY } from '#common/mesh/backend-policy.ts';
import type { BackendPolicy } from '#common/mesh/backend-policy.ts';
import type { HttpPolicy } from '#common/mesh/http-policy.ts';
import type { Frontend } from '#common/mesh/route.ts';
import { RequestDecider } from '../../../waypoint/decision/request-decider.ts';
import type { Decision, Inquiry } from '../../../waypoint/decision/request-decider.ts';
import { UpstreamTable } from '../../../waypoint/decision/upstream-table.ts';
import { RouteTable } from '../../../waypoint/routing/route-table.ts';
import { backs, replicas, service, viewOf } from '../../helpers/mesh-build.ts';
import { randomFrom } from '../../helpers/mesh-random.ts';
import { backend, exact, frontend, match, prefix, request, route } from '../../helpers/routes.ts';

const CART = service('cart', { addresses: ['10.32.0.1'] });
const V2 = service('cart-v2', { addresses: ['10.32.0.2'] });
const FRONT = `${CART.key}:80`;

interface World {
  readonly frontends?: readonly Frontend[];
  readonly policies?: readonly HttpPolicy[];
  readonly backendPolicy?: Partial<BackendPolicy>;
}

function setUp(world: World = {}) {
  const view = viewOf({
    services: [CART, V2],
    workloads: [
      ...replicas('cart', { count: 3, prefix: '10.64.0.', ...backs(CART) }),
      ...replicas('cart-v2', { count: 1, prefix: '10.64.1.', ...backs(V2) }),
    ],
  });
  const routes = new RouteTable();
  routes.apply(world.frontends ?? [], []);
  const authorizer = new HttpAuthorizer();
  authorizer.apply(world.policies ?? [], []);
  const policy = { ...DEFAULT_BACKEND_POLICY, ...world.backendPolicy };
  const clock = { ms: 1000 };
  const upstreams = new UpstreamTable({
    view,
    standpoint: {
      node: 'node-1',
      cluster: 'Kubernetes',
      locality: { region: '', zone: '', subzone: '' },
    },
    policyOf: () => policy,
    told: () => undefined,
  });
  const decider = new RequestDecider({
    routes,
    upstreams,
    authorizer,
    random: randomFrom(3),
    now: () => clock.ms,
    wallClock: () => clock.ms,
  });
  const decide = (ask: ReturnType<typeof request>, more: Partial<Inquiry> = {}): Decision =>
    decider.decide({
      request: ask,
      frontend: FRONT,
      service: CART.key,
      port: 80,
      isRouted: false,
      arrival: { scheme: 'http', port: 80 },
      namespace: 'shop',
      connection: {
        identity: identityOf('cluster.local', 'shop', 'web'),
        sourceAddress: '10.64.9.1',
        destinationAddress: '10.32.0.1',
        destinationPort: 80,
      },
      remoteAddress: '10.64.9.1',
      token: undefined,
      targets: ['Service/shop/cart'],
      ...more,
    });
  return { upstreams, clock, decide };
}

function routesTo(...rules: Parameters<typeof route>[1][number][]): Frontend {
  return frontend([route('r', rules)], { key: FRONT, owner: CART.key });
}

function denyAdmin(): HttpPolicy {
  return {
    key: 'http-authorization/shop/no-admin',
    name: 'no-admin',
    namespace: 'shop',
    targets: ['Service/shop/cart'],
    action: 'deny',
    provider: '',
    dryRun: false,
    rules: [{ name: 'rules[0]', clauses: [{ matches: [{ paths: ['/admin', '/admin/{**}'] }] }] }],
  };
}

/** A decision in a line. */
function line(decision: Decision): string {
  switch (decision.kind) {
    case 'refuse':
      return `${decision.failure}: ${decision.reason}`;
    case 'answer':
      return `${decision.status} ${decision.headers.map((one) => one.join(' ')).join()}`;
    case 'forward':
      break;
  }
  const { upstream, target, host, rule } = decision;
  return `${upstream.name} ${target}${host === '' ? '' : ` at ${host}`} by ${rule?.name ?? 'no rule'}`;
}

test('decide() sends a request where the route says, with what the route changes', async (t) => {
  const { decide } = setUp({
    frontends: [
      routesTo(
        {
          matches: [match(prefix('/v2'))],
          backends: [backend('x', 1, { service: V2.key })],
          filters: [{ kind: 'rewrite', hostname: 'v2', path: { kind: 'prefix', value: '/' } }],
        },
        { matches: [match(exact('/'))], backends: [backend('x', 1, { service: CART.key })] },
        {
          matches: [match(exact('/old'))],
          filters: [
            { kind: 'redirect', scheme: '', hostname: '', port: 0, path: undefined, status: 302 },
          ],
        },
        { matches: [match(exact('/gone'))], backends: [backend('nobody', 1, { service: '' })] },
        { matches: [match(exact('/none'))], backends: [backend('x', 0, { service: V2.key })] },
        {
          matches: [match(exact('/port'))],
          backends: [backend('x', 1, { service: V2.key, port: 9 })],
        },
      ),
    ],
  });
  const table: readonly (readonly [url: string, want: string])[] = [
    ['/v2/items?a=1', `${V2.key}:80 /items?a=1 at v2 by HTTPRoute/shop/r rules[0]`],
    ['/', `${CART.key}:80 / by HTTPRoute/shop/r rules[1]`],
    ['/x/../v2//items', `${V2.key}:80 /items at v2 by HTTPRoute/shop/r rules[0]`],
    ['/old', '302 location http://cart/old'],
    ['/gone', 'backend-invalid: there is no nobody'],
    ['/none', 'backend-invalid: it has no backend'],
    ['/port', `no-endpoint: ${V2.key} has no port 9`],
    ['/nowhere', 'no-route: no rule of its routes matches'],
    ['/..', 'bad-path: the path could be read in more than one way'],
  ];
  for (const [url, want] of table) t.equal(line(decide(request(url))), want, url);
});

test('decide() sends what no route is for to the service itself', async (t) => {
  const { decide } = setUp();
  const plain = `${CART.key}:80 /a/b?q by no rule`;
  t.equal(line(decide(request('/a//b?q'))), plain);
  const routed = setUp({ frontends: [routesTo({ matches: [match(exact('/only'))] })] });
  t.match(line(routed.decide(request('/a/b?q'))), 'no-route');
  t.equal(
    line(routed.decide(request('/a/b?q'), { isRouted: true })),
    plain,
    'routes are applied once on the way',
  );
  t.equal(line(routed.decide(request('/a/b?q'), { frontend: '' })), plain, 'a pod address');
});

test('decide() judges by policy before any route, on the path as it will be sent', async (t) => {
  const { decide } = setUp({ policies: [denyAdmin()], frontends: [routesTo({})] });
  for (const url of ['/admin', '/x/../admin', '/%61dmin/users', '/x%2F..%2Fadmin']) {
    const decision = decide(request(url));
    t.match(decision, { kind: 'refuse', failure: 'denied', rule: 'rules[0]' }, url);
    t.match(decision, { policy: 'http-authorization/shop/no-admin' });
  }
  t.match(line(decide(request('/adminx'))), 'backend-invalid', 'others go on to the route');
});

test('decide() names the authorisers that must say yes first', async (t) => {
  const custom = { ...denyAdmin(), action: 'custom', provider: 'opa' } as const;
  const { decide } = setUp({ policies: [custom] });
  const decision = decide(request('/admin'));
  t.match(decision, { kind: 'forward', ask: [{ provider: 'opa' }] });
  t.match(decide(request('/')), { kind: 'forward', ask: [] });
});

test('decide() keeps a session with its endpoint and tells the client once', async (t) => {
  const persistence = {
    kind: 'cookie',
    name: 'stay',
    isPermanent: false,
    absoluteTimeoutMs: 0,
    idleTimeoutMs: 0,
  } as const;
  const { decide, upstreams, clock } = setUp({
    frontends: [routesTo({ persistence, backends: [backend('x', 1, { service: CART.key })] })],
  });
  const first = decide(request('/'));
  if (first.kind !== 'forward') throw new Error(line(first));
  const [name, cookie = ''] = first.session ?? [];
  t.equal(name, 'set-cookie');
  const value = cookie.split(';')[0] ?? '';
  for (let i = 0; i < 20; i += 1) {
    const again = decide(request('/', { cookie: value }));
    t.match(again, { kind: 'forward', endpoint: { id: first.endpoint.id }, session: undefined });
  }
  const upstream = upstreams.get(CART.key, 80, clock.ms);
  upstream?.set.setOut(first.endpoint, true);
  first.endpoint.outUntilMs = Infinity;
  const moved = decide(request('/', { cookie: value }));
  t.ok(moved.kind === 'forward' && moved.endpoint !== first.endpoint);
  t.ok(moved.kind === 'forward' && moved.session !== undefined, 'and the client is told');
});

test('decide() hashes by header, cookie or source', async (t) => {
  const by = (hash: BackendPolicy['hash']) => {
    const { decide } = setUp({ backendPolicy: { balancer: 'maglev', hash } });
    return (headers: Record<string, string>, remoteAddress = '10.0.0.1'): string => {
      const decision = decide(request('/', headers), { remoteAddress });
      return decision.kind === 'forward' ? decision.endpoint.id : line(decision);
    };
  };
  const stays = (ask: (i: number) => string): number =>
    new Set(Array.from({ length: 30 }, (_, i) => ask(i))).size;
  const header = by({ kind: 'header', name: 'X-User' });
  t.equal(
    stays(() => header({ 'x-user': 'ann' })),
    1,
  );
  t.equal(
    stays((i) => header({ 'x-user': `u${i}` })),
    3,
  );
  t.equal(
    stays(() => header({})),
    3,
    'without the key by chance',
  );
  const cookie = by({ kind: 'cookie', name: 'id' });
  t.equal(
    stays(() => cookie({ cookie: 'a=1; id=ann' })),
    1,
  );
  const source = by({ kind: 'source' });
  t.equal(
    stays(() => source({}, '10.0.0.7')),
    1,
  );
  t.equal(
    stays((i) => source({}, `10.0.0.${i}`)),
    3,
  );
});

test('decide() mirrors the share that is asked for', async (t) => {
  const mirror = { kind: 'mirror', service: V2.key, port: 80, share: 0.3, name: 'm' } as const;
  const { decide } = setUp({
    frontends: [
      routesTo({ filters: [mirror], backends: [backend('x', 1, { service: CART.key })] }),
    ],
  });
  let mirrored = 0;
  for (let i = 0; i < 1000; i += 1) {
    const decision = decide(request('/'));
    if (decision.kind === 'forward') mirrored += decision.mirrors.length;
  }
  t.ok(mirrored > 250 && mirrored < 350, `${mirrored} of 1000`);
});

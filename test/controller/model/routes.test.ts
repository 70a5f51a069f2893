import { test } from 'tap';
import type { RouteObject } from '../../../controller/model/route-objects.ts';
import { meta, service } from '../../helpers/mesh-objects.ts';
import {
  backendSpec,
  buildRoutes,
  conditionsOf,
  gatewayObject,
  matchSpec,
  routeObject,
  toGateway,
  toService,
  world,
} from '../../helpers/route-objects.ts';

const CART = service('cart', {
  ports: [
    { name: 'http', port: 80, targetPort: 8080, appProtocol: '' },
    { name: 'alt', port: 81, targetPort: 8081, appProtocol: '' },
  ],
});
const GOOD = ['Accepted True Accepted', 'ResolvedRefs True ResolvedRefs'];

function modelOf(routes: readonly RouteObject[], services = [CART]) {
  return buildRoutes(world(services, { routes }));
}

test('buildRoutes() gives each port of a Service its routes, or the one that is named', async (t) => {
  const all = routeObject('all');
  const one = routeObject('one', { parents: [toService('cart', { port: 81 })] });
  const model = modelOf([all, one]);
  t.strictSame(
    model.frontends.map(({ key, port, owner, producer }) => [
      key,
      port,
      owner,
      producer?.protocol,
      producer?.routes.map((route) => route.key),
    ]),
    [
      [
        'shop/cart.shop.svc.cluster.local:80',
        80,
        'shop/cart.shop.svc.cluster.local',
        'http',
        ['HTTPRoute/shop/all'],
      ],
      [
        'shop/cart.shop.svc.cluster.local:81',
        81,
        'shop/cart.shop.svc.cluster.local',
        'http',
        ['HTTPRoute/shop/all', 'HTTPRoute/shop/one'],
      ],
    ],
  );
  t.strictSame(conditionsOf(model, 'HTTPRoute/shop/one'), GOOD);
  t.equal(model.statuses.get('HTTPRoute/shop/one')?.[0]?.conditions[0]?.observedGeneration, 1);
});

test('buildRoutes() orders routes by age, then by name', async (t) => {
  const model = modelOf([
    routeObject('young', { meta: { createdMs: 5 } }),
    routeObject('b', { meta: { createdMs: 1 } }),
    routeObject('a', { meta: { createdMs: 1 } }),
  ]);
  t.strictSame(
    model.frontends[0]?.producer?.routes.map((route) => route.key),
    ['HTTPRoute/shop/a', 'HTTPRoute/shop/b', 'HTTPRoute/shop/young'],
  );
});

test('buildRoutes() keeps consumer routes for callers of their namespace', async (t) => {
  const consumer = routeObject('mine', {
    meta: { namespace: 'bank' },
    parents: [toService('cart', { namespace: 'shop', port: 80 })],
    rules: [{ backends: [backendSpec('cart', { namespace: 'shop' })] }],
  });
  const model = modelOf([routeObject('all'), consumer]);
  const [front] = model.frontends;
  t.strictSame(
    front?.producer?.routes.map(({ key }) => key),
    ['HTTPRoute/shop/all'],
  );
  t.strictSame(
    front?.consumers.map(({ namespace, routes }) => [namespace, routes.map(({ key }) => key)]),
    [['bank', ['HTTPRoute/bank/mine']]],
  );
  t.strictSame(conditionsOf(model, 'HTTPRoute/bank/mine'), GOOD, 'no grant is asked for');
  const alone = modelOf([consumer]).frontends[0];
  t.equal(alone?.producer, undefined);
  t.equal(alone?.consumers.length, 1);
});

test('buildRoutes() lets one kind have a port, and says Conflicted to the others', async (t) => {
  const grpc = routeObject('calls', {
    kind: 'GRPCRoute',
    meta: { createdMs: 9 },
    parents: [toService('cart', { port: 80 })],
  });
  const model = modelOf([
    routeObject('both'),
    routeObject('one', { parents: [toService('cart', { port: 80 })] }),
    routeObject('raw', { kind: 'TCPRoute', parents: [toService('cart', { port: 81 })] }),
    grpc,
  ]);
  t.equal(model.frontends[0]?.producer?.protocol, 'grpc');
  t.equal(model.frontends[1]?.producer?.protocol, 'http');
  t.strictSame(conditionsOf(model, 'GRPCRoute/shop/calls'), GOOD);
  const lost = 'port 80 has GRPCRoute shop/calls; a port of a Service has routes of one kind';
  t.strictSame(conditionsOf(model, 'HTTPRoute/shop/one'), [
    `Accepted False Conflicted: ${lost}`,
    'ResolvedRefs True ResolvedRefs',
  ]);
  t.equal(conditionsOf(model, 'HTTPRoute/shop/both')[0], `Accepted True Accepted: ${lost}`);
  t.match(
    conditionsOf(model, 'TCPRoute/shop/raw')[0],
    'Accepted False Conflicted: port 81 has HTTPRoute shop/both',
  );
});

test('buildRoutes() never lets the kind of a guest’s route push the owner’s aside', async (t) => {
  const guest = routeObject('guest', {
    kind: 'GRPCRoute',
    meta: { namespace: 'bank' },
    parents: [toService('cart', { namespace: 'shop' })],
  });
  const model = modelOf([routeObject('owner'), guest]);
  t.equal(model.frontends[0]?.producer?.protocol, 'http');
  t.equal(model.frontends[0]?.consumers[0]?.protocol, 'grpc');
  t.strictSame(conditionsOf(model, 'HTTPRoute/shop/owner'), GOOD);
});

test('buildRoutes() refuses parents that cannot have routes, and says why', async (t) => {
  const headless = service('db', { headless: true, clusterIps: [] });
  const model = modelOf(
    [
      routeObject('gone', { parents: [toService('nobody')] }),
      routeObject('headless', { parents: [toService('db')] }),
      routeObject('port', { parents: [toService('cart', { port: 99 })] }),
      routeObject('udp', { kind: 'UDPRoute' }),
      routeObject('foreign', { parents: [{ ...toService('x'), group: 'example.com' }] }),
    ],
    [CART, headless],
  );
  const first = (key: string): string | undefined => conditionsOf(model, key)[0];
  t.equal(
    first('HTTPRoute/shop/gone'),
    'Accepted False NoMatchingParent: there is no Service shop/nobody',
  );
  t.equal(
    first('HTTPRoute/shop/headless'),
    'Accepted False UnsupportedValue: Service shop/db is headless, so it has no address to which a route could belong',
  );
  t.equal(
    first('HTTPRoute/shop/port'),
    'Accepted False NoMatchingParent: Service shop/cart has no port 99; it has 80, 81',
  );
  t.equal(
    first('UDPRoute/shop/udp'),
    'Accepted False UnsupportedValue: UDP is not carried by the mesh; no UDPRoute is done',
  );
  t.equal(first('HTTPRoute/shop/foreign'), undefined, 'not ours to judge');
  t.strictSame(model.frontends, []);
});

test('buildRoutes() answers 500 for backends that cannot be used, and names them', async (t) => {
  const tls = service('tls', {
    ports: [{ name: 'x', port: 80, targetPort: 443, appProtocol: 'https' }],
  });
  const model = modelOf(
    [
      routeObject('r', {
        rules: [
          {
            backends: [
              backendSpec('cart', { weight: 9 }),
              backendSpec('nobody'),
              backendSpec('cart', { port: 99 }),
              backendSpec('cart', { port: 0 }),
              backendSpec('b', { group: 'storage.example', kind: 'Bucket' }),
              backendSpec('tls', { weight: 0 }),
            ],
          },
        ],
      }),
    ],
    [CART, tls],
  );
  t.strictSame(
    model.frontends[0]?.producer?.routes[0]?.rules[0]?.backends.map((one) => [
      one.service,
      one.weight,
      one.name,
    ]),
    [
      ['shop/cart.shop.svc.cluster.local', 9, 'Service shop/cart:80'],
      ['', 1, 'Service shop/nobody:80'],
      ['', 1, 'Service shop/cart:99'],
      ['', 1, 'Service shop/cart'],
      ['', 1, 'Bucket shop/b:80'],
      ['', 0, 'Service shop/tls:80'],
    ],
  );
  t.strictSame(conditionsOf(model, 'HTTPRoute/shop/r'), [
    'Accepted True Accepted',
    'ResolvedRefs False BackendNotFound: rules[0].backendRefs[1]: there is no Service shop/nobody; ' +
      'rules[0].backendRefs[2]: there is no port 99 at Service shop/cart; it has 80, 81; ' +
      'rules[0].backendRefs[3]: names no port of Service shop/cart; it has 80, 81; ' +
      'rules[0].backendRefs[4]: a backend of kind Bucket.storage.example; expected Service; and 1 more',
  ]);
});

test('buildRoutes() drops a rule that it cannot do, and refuses a route of nothing else', async (t) => {
  const bad = {
    matches: [matchSpec({ path: { kind: 'pattern', value: '(?=x)' } })],
  } as const;
  const ext = { unsupported: [{ field: 'filters[0].extensionRef', what: 'an extension' }] };
  const model = modelOf([
    routeObject('some', { rules: [bad, { name: 'good' }] }),
    routeObject('none', { rules: [bad, ext] }),
  ]);
  t.strictSame(
    model.frontends[0]?.producer?.routes.map(({ key, rules }) => [key, rules.map((r) => r.name)]),
    [['HTTPRoute/shop/some', ['good']]],
  );
  t.match(conditionsOf(model, 'HTTPRoute/shop/some'), [
    'Accepted True Accepted',
    'ResolvedRefs True ResolvedRefs',
    /^PartiallyInvalid True UnsupportedValue: Dropped Rule: rules\[0\]\.matches\[0\]\.path: "\(\?=x\)" cannot be matched in linear time/,
  ]);
  t.match(conditionsOf(model, 'HTTPRoute/shop/none'), [
    /^Accepted False UnsupportedValue: rules\[0\].*; rules\[1\]\.filters\[0\]\.extensionRef: an extension, which is not done here/,
    'ResolvedRefs True ResolvedRefs',
  ]);
});

test('buildRoutes() compiles every filter, and refuses those that would do harm', async (t) => {
  const headers = (name: string) => ({ set: [{ name, value: '1' }], add: [], remove: ['X-B'] });
  const mirror = (name: string) =>
    ({ type: 'RequestMirror', backend: backendSpec(name), share: 0.5 }) as const;
  const path = { kind: 'prefix', value: '/new' } as const;
  const redirect = {
    type: 'RequestRedirect',
    scheme: 'https',
    hostname: '',
    port: 0,
    path,
    status: 301,
  } as const;
  const rewrite = { type: 'URLRewrite', hostname: 'h', path } as const;
  const model = modelOf([
    routeObject('good', {
      rules: [
        {
          filters: [
            { type: 'RequestHeaderModifier', ...headers('X-A') },
            { type: 'ResponseHeaderModifier', ...headers('X-A') },
            mirror('cart'),
            mirror('nobody'),
            rewrite,
          ],
          backends: [
            backendSpec('cart', { filters: [{ type: 'RequestHeaderModifier', ...headers('Q') }] }),
          ],
        },
        { filters: [redirect], backends: [] },
      ],
    }),
    routeObject('bad', {
      rules: [
        { filters: [{ type: 'RequestHeaderModifier', ...headers('Content-Length') }] },
        { filters: [{ type: 'RequestHeaderModifier', ...headers('x-b') }] },
        { filters: [redirect, rewrite] },
        { filters: [rewrite], matches: [matchSpec({ path: { kind: 'exact', value: '/x' } })] },
        { filters: [{ type: 'ExternalAuth' }] },
        { backends: [backendSpec('cart', { filters: [rewrite] })] },
      ],
    }),
  ]);
  const rule = model.frontends[0]?.producer?.routes[0]?.rules;
  t.strictSame(rule?.[0]?.filters, [
    { kind: 'request-headers', set: [{ name: 'x-a', value: '1' }], add: [], remove: ['x-b'] },
    { kind: 'response-headers', set: [{ name: 'x-a', value: '1' }], add: [], remove: ['x-b'] },
    {
      kind: 'mirror',
      service: 'shop/cart.shop.svc.cluster.local',
      port: 80,
      share: 0.5,
      name: 'Service shop/cart:80',
    },
    { kind: 'rewrite', hostname: 'h', path },
  ]);
  t.equal(rule?.[0]?.backends[0]?.filters[0]?.set[0]?.name, 'q');
  t.strictSame(rule?.[1]?.filters, [
    { kind: 'redirect', scheme: 'https', hostname: '', port: 0, path, status: 301 },
  ]);
  t.match(conditionsOf(model, 'HTTPRoute/shop/good')[1], /filters\[3\]\.requestMirror\.backendRef/);
  const [refusal = ''] = conditionsOf(model, 'HTTPRoute/shop/bad');
  t.match(refusal, /rules\[0\]\.filters\[0\]: header "content-length" frames the message/);
  t.match(refusal, /rules\[1\]\.filters\[0\]: header "x-b" twice/);
  t.match(refusal, /rules\[2\]\.filters\[1\]: RequestRedirect and URLRewrite in one rule/);
  t.match(refusal, /and 2 more/);
});

test('buildRoutes() keeps what rules say beside: names, timeouts, retries, persistence, matches', async (t) => {
  const persistence = {
    kind: 'cookie',
    name: '',
    isPermanent: false,
    absoluteTimeoutMs: 0,
    idleTimeoutMs: 5000,
  } as const;
  const timeouts = { requestMs: 1000, backendRequestMs: 500 };
  const retry = { codes: [503], attempts: 2, backoffMs: 50 };
  const value = (name: string, text: string) => ({ name, kind: 'exact', value: text }) as const;
  const model = modelOf([
    routeObject('r', {
      rules: [
        {
          name: 'checkout',
          timeouts,
          retry,
          persistence,
          matches: [
            matchSpec({
              headers: [value('X-A', '1'), value('x-a', '2')],
              query: [value('q', '1'), value('q', '2')],
            }),
          ],
        },
        { persistence },
      ],
    }),
  ]);
  const rules = model.frontends[0]?.producer?.routes[0]?.rules;
  t.match(rules?.[0], { name: 'checkout', timeouts, retry });
  t.match(rules?.[0]?.persistence?.name, /^plumbline-session-[0-9a-z]+$/);
  t.not(rules?.[0]?.persistence?.name, rules?.[1]?.persistence?.name);
  t.strictSame(rules?.[0]?.matches[0]?.headers, [value('x-a', '1')], 'the first of a name counts');
  t.strictSame(rules?.[0]?.matches[0]?.query, [value('q', '1')]);
  t.equal(rules?.[1]?.name, 'rules[1]');
});

test('buildRoutes() attaches routes to listeners that allow them, with the hosts of both', async (t) => {
  const gateways = [
    gatewayObject('edge', [
      { name: 'web', hostname: '*.example' },
      { name: 'any', port: 8080, allowed: { from: 'All', selector: undefined, kinds: undefined } },
      { name: 'raw', port: 9000, protocol: 'TCP' },
    ]),
    gatewayObject('other', [{}], 'somebody-else'),
  ];
  const routes = [
    routeObject('a', { parents: [toGateway('edge')], hostnames: ['A.example', 'b.other'] }),
    routeObject('grpc', {
      kind: 'GRPCRoute',
      parents: [toGateway('edge', { sectionName: 'web' })],
    }),
    routeObject('far', {
      meta: { namespace: 'bank' },
      parents: [toGateway('edge', { namespace: 'shop' })],
      rules: [{ backends: [backendSpec('cart', { namespace: 'shop' })] }],
    }),
    routeObject('nohost', {
      parents: [toGateway('edge', { sectionName: 'web' })],
      hostnames: ['c.other'],
    }),
    routeObject('section', { parents: [toGateway('edge', { sectionName: 'nope', port: 1 })] }),
    routeObject('tcp', {
      kind: 'TCPRoute',
      parents: [toGateway('edge', { sectionName: 'web' })],
    }),
    routeObject('theirs', { parents: [toGateway('other')] }),
  ];
  const model = buildRoutes(world([CART], { routes, gateways }));
  const hosts = (key: string): unknown =>
    model.frontends
      .find((one) => one.key === key)
      ?.producer?.routes.map((route) => [route.key, route.hostnames]);
  t.strictSame(hosts('gateway/shop/edge/web'), [
    ['HTTPRoute/shop/a', ['a.example']],
    ['GRPCRoute/shop/grpc', ['*.example']],
  ]);
  t.strictSame(hosts('gateway/shop/edge/any'), [
    ['HTTPRoute/bank/far', []],
    ['HTTPRoute/shop/a', ['a.example', 'b.other']],
  ]);
  t.strictSame(conditionsOf(model, 'HTTPRoute/shop/a'), GOOD);
  t.strictSame(conditionsOf(model, 'HTTPRoute/bank/far'), [
    'Accepted True Accepted',
    'ResolvedRefs False RefNotPermitted: rules[0].backendRefs[0]: no ReferenceGrant in the namespace shop lets HTTPRoutes of bank name Service shop/cart:80',
  ]);
  t.equal(
    conditionsOf(model, 'HTTPRoute/shop/nohost')[0],
    'Accepted False NoMatchingListenerHostname: none of c.other is a host of Gateway shop/edge: web has "*.example"',
  );
  t.equal(
    conditionsOf(model, 'HTTPRoute/shop/section')[0],
    'Accepted False NoMatchingParent: Gateway shop/edge has no listener named "nope" at port 1; it has web:80, any:8080, raw:9000',
  );
  t.equal(
    conditionsOf(model, 'TCPRoute/shop/tcp')[0],
    'Accepted False NotAllowedByListeners: Gateway shop/edge: web: protocol HTTP takes no TCPRoute',
  );
  t.strictSame(conditionsOf(model, 'HTTPRoute/shop/theirs'), [], 'somebody else’s Gateway');
  t.strictSame(
    [...model.attachedRoutes],
    [
      ['shop/edge/any', 2],
      ['shop/edge/web', 2],
    ],
  );
});

test('buildRoutes() takes a ReferenceGrant for routes on Gateways', async (t) => {
  const gateways = [
    gatewayObject('edge', [
      {
        allowed: {
          from: 'Selector',
          selector: { matchLabels: { team: 'a' }, matchExpressions: [] },
          kinds: undefined,
        },
      },
    ]),
  ];
  const route = routeObject('far', {
    meta: { namespace: 'bank' },
    parents: [toGateway('edge', { namespace: 'shop' })],
    rules: [{ backends: [backendSpec('cart', { namespace: 'shop' })] }],
  });
  const grant = (kind: string, name: string) => ({
    kind: 'ReferenceGrant' as const,
    meta: meta('g'),
    from: [{ group: 'gateway.networking.k8s.io', kind, namespace: 'bank' }],
    to: [{ group: '', kind: 'Service', name }],
  });
  const namespaces = new Map([['bank', { team: 'a' }]]);
  const statusWith = (grants: readonly ReturnType<typeof grant>[], labels = namespaces) =>
    conditionsOf(
      buildRoutes(world([CART], { routes: [route], gateways, grants, namespaces: labels })),
      'HTTPRoute/bank/far',
    );
  t.strictSame(statusWith([grant('HTTPRoute', '')]), GOOD);
  t.strictSame(statusWith([grant('HTTPRoute', 'cart')]), GOOD);
  t.match(statusWith([grant('HTTPRoute', 'other')])[1], /RefNotPermitted/);
  t.match(statusWith([grant('GRPCRoute', '')])[1], /RefNotPermitted/);
  t.match(
    statusWith([grant('HTTPRoute', '')], new Map())[0],
    /NotAllowedByListeners: .*allowedRoutes\.namespaces\.selector does not select bank/,
  );
});

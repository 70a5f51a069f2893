import { test } from 'tap';
import type { RouteObject } from '../../../controller/model/route-objects.ts';
import { service } from '../../helpers/mesh-objects.ts';
import {
  backendSpec,
  buildRoutes,
  conditionsOf,
  matchSpec,
  routeObject,
  world,
} from '../../helpers/route-objects.ts';

const CART = service('cart', {
  ports: [
    { name: 'http', port: 80, targetPort: 8080, appProtocol: '' },
    { name: 'alt', port: 81, targetPort: 8081, appProtocol: '' },
  ],
});

function modelOf(routes: readonly RouteObject[], services = [CART]) {
  return buildRoutes(world(services, { routes }));
}

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
  const ext = { filters: [{ type: 'ExtensionRef' }] } as const;
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
    /^Accepted False UnsupportedValue: rules\[0\].*; rules\[1\]\.filters\[0\]: a filter of type ExtensionRef, which is not done here/,
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

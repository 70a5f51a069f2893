import { test } from 'tap';
import { meta, service } from '../../helpers/mesh-objects.ts';
import {
  backendSpec,
  buildRoutes,
  conditionsOf,
  gatewayObject,
  routeObject,
  toGateway,
  world,
} from '../../helpers/route-objects.ts';

const CART = service('cart', {
  ports: [
    { name: 'http', port: 80, targetPort: 8080, appProtocol: '' },
    { name: 'alt', port: 81, targetPort: 8081, appProtocol: '' },
  ],
});
const GOOD = ['Accepted True Accepted', 'ResolvedRefs True ResolvedRefs'];

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

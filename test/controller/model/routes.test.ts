import { test } from 'tap';
import type { RouteObject } from '../../../controller/model/route-objects.ts';
import { service } from '../../helpers/mesh-objects.ts';
import {
  backendSpec,
  buildRoutes,
  conditionsOf,
  routeObject,
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

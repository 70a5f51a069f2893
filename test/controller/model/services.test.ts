import { test } from 'tap';
import type { Service } from '../../../common/mesh/service.ts';
import { Model } from '../../../controller/model/model.ts';
import type { Labels } from '../../../controller/model/objects.ts';
import { gone, namespace, service, serviceEntry, set } from '../../helpers/mesh-objects.ts';

function built(more: Parameters<typeof service>[1], annotations: Labels = {}): Service | undefined {
  return new Model().apply(set(namespace('shop', {}, annotations), service('cart', more)))
    .services[0];
}

test('a Service becomes a service with its host name, addresses and ports', async (t) => {
  const ports = [
    { name: 'http', port: 80, targetPort: 8080, appProtocol: 'http' },
    { name: 'web', port: 81, targetPort: 'web', appProtocol: '' },
  ];
  t.strictSame(built({ clusterIps: ['10.32.0.1', 'fd00:32::1'], ports }), {
    key: 'shop/cart.shop.svc.cluster.local',
    name: 'cart',
    namespace: 'shop',
    hostname: 'cart.shop.svc.cluster.local',
    addresses: ['10.32.0.1', 'fd00:32::1'],
    ports: [
      { name: 'http', port: 80, targetPort: 8080, appProtocol: 'http' },
      { name: 'web', port: 81, targetPort: 0, appProtocol: '' },
    ],
    headless: false,
    subjectAltNames: [],
    loadBalancing: { algorithm: 'random', clientIpAffinitySeconds: 0, mode: 'any', scopes: [] },
    publishNotReady: false,
    visibility: 'public',
    canonical: true,
  });
});

test('a Service narrows its endpoints as Kubernetes says', async (t) => {
  const close = { mode: 'failover', scopes: ['region', 'zone'] };
  const node = { mode: 'failover', scopes: ['region', 'zone', 'subzone', 'node'] };
  const annotation = { 'networking.istio.io/traffic-distribution': 'preferclose' };
  const table: readonly (readonly [string, Parameters<typeof service>[1], Labels, unknown])[] = [
    ['default', {}, {}, { mode: 'any', scopes: [] }],
    ['PreferClose', { trafficDistribution: 'PreferClose' }, {}, close],
    ['PreferSameZone', { trafficDistribution: 'PreferSameZone' }, {}, close],
    ['PreferSameNode', { trafficDistribution: 'PreferSameNode' }, {}, node],
    ['annotation', { meta: { annotations: annotation } }, {}, close],
    ['annotation of the namespace', {}, annotation, close],
    ['the field before both', { trafficDistribution: 'PreferSameNode' }, annotation, node],
    ['Local', { internalTrafficPolicy: 'Local' }, {}, { mode: 'strict', scopes: ['node'] }],
    [
      'Local before the rest',
      { internalTrafficPolicy: 'Local', trafficDistribution: 'PreferClose' },
      {},
      { mode: 'strict', scopes: ['node'] },
    ],
  ];
  for (const [name, more, annotations, wanted] of table) {
    t.match(built(more, annotations)?.loadBalancing, wanted, name);
  }
});

test('a Service says how it balances, who sees it, and whether it is headless', async (t) => {
  const annotations = {
    'plumbline.dev/load-balancing': 'least-connections',
    'networking.istio.io/exportTo': '.',
  };
  t.match(
    built({
      headless: true,
      clusterIps: [],
      clientIpAffinitySeconds: 60,
      publishNotReadyAddresses: true,
      meta: { annotations },
    }),
    {
      addresses: [],
      headless: true,
      publishNotReady: true,
      visibility: 'namespace',
      loadBalancing: { algorithm: 'least-connections', clientIpAffinitySeconds: 60 },
    },
  );
});

test('of several that claim a host the Service wins, then the oldest entry', async (t) => {
  const host = 'cart.shop.svc.cluster.local';
  const model = new Model();
  const old = serviceEntry('old', { hosts: [host], meta: { createdMs: 1 } });
  const young = serviceEntry('young', { hosts: [host], meta: { createdMs: 2 } });
  t.match(model.apply(set(young, old)).services, [{ name: 'old', canonical: false }]);
  t.match(model.apply(set(service('cart'))).services, [{ name: 'cart', canonical: true }]);
  t.match(model.apply([gone(service('cart')), gone(old)]).services, [{ name: 'young' }]);
  t.strictSame(model.apply([gone(young)]).removed.services, [`shop/${host}`]);
});

test('a change of namespace annotations reaches its services', async (t) => {
  const model = new Model();
  model.apply(set(namespace('shop'), service('cart')));
  const annotations = { 'networking.istio.io/traffic-distribution': 'PreferClose' };
  const diff = model.apply(set(namespace('shop', {}, annotations)));
  t.match(diff.services, [{ loadBalancing: { mode: 'failover' } }]);
});

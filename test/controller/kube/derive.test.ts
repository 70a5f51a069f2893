import { test } from 'tap';
import { deriveHosts, deriveSlices } from '../../../controller/kube/derive.ts';
import { ServiceAddresses } from '../../../controller/kube/service-addresses.ts';
import type { DeclaredService } from '../../../controller/kube/schemas/service.ts';
import { pod, service, serviceEntry } from '../../helpers/mesh-objects.ts';

const CART = { labels: { app: 'cart' } };

test('deriveSlices() makes a slice of each family from labels and readiness', async (t) => {
  const slices = deriveSlices(
    [service('cart')],
    [
      pod('cart-0', '', { addresses: ['10.0.0.1', 'fd00::1'], meta: CART }),
      pod('cart-1', '10.0.0.2', { ready: false, meta: CART }),
      pod('cart-2', '10.0.0.3', { terminating: true, meta: CART }),
      pod('cart-3', '', { meta: CART }),
      pod('cart-4', '10.0.0.5', { phase: 'Failed', meta: CART }),
      pod('cart-5', '10.0.0.6', { meta: { ...CART, namespace: 'bank' } }),
      pod('pay-0', '10.0.0.7', { meta: { labels: { app: 'pay' } } }),
    ],
  );
  t.strictSame(
    slices.map(({ meta: { name }, service: of, ports, endpoints }) => ({
      name,
      of,
      ports,
      endpoints: endpoints.map((e) => [e.pod, e.addresses.join(), e.ready, e.terminating]),
    })),
    [
      {
        name: 'cart-ipv4',
        of: 'cart',
        ports: [{ name: 'http', port: 8080 }],
        endpoints: [
          ['cart-0', '10.0.0.1', true, false],
          ['cart-1', '10.0.0.2', false, false],
          ['cart-2', '10.0.0.3', false, true],
        ],
      },
      {
        name: 'cart-ipv6',
        of: 'cart',
        ports: [{ name: 'http', port: 8080 }],
        endpoints: [['cart-0', 'fd00::1', true, false]],
      },
    ],
  );
});

test('deriveSlices() resolves named ports pod by pod', async (t) => {
  const ports = [{ name: 'http', port: 80, targetPort: 'web', appProtocol: '' }];
  const slices = deriveSlices(
    [service('cart', { ports })],
    [
      pod('a', '10.0.0.1', { namedPorts: { web: 8080 }, meta: CART }),
      pod('b', '10.0.0.2', { namedPorts: { web: 9090 }, meta: CART }),
      pod('c', '10.0.0.3', { namedPorts: { web: 8080 }, meta: CART }),
      pod('d', '10.0.0.4', { meta: CART }),
    ],
  );
  t.strictSame(
    slices.map(({ meta: { name }, ports: found, endpoints }) => [
      name,
      found.map(({ port }) => port),
      endpoints.map((e) => e.pod),
    ]),
    [
      ['cart-ipv4-http8080', [8080], ['a', 'c']],
      ['cart-ipv4-http9090', [9090], ['b']],
      ['cart-ipv4-none', [], ['d']],
    ],
  );
});

test('deriveSlices() calls unready endpoints ready where the Service asks for it', async (t) => {
  const slices = deriveSlices(
    [service('cart', { publishNotReadyAddresses: true })],
    [pod('a', '10.0.0.1', { ready: false, meta: CART })],
  );
  t.equal(slices[0]?.endpoints[0]?.ready, true);
  t.strictSame(deriveSlices([service('x', { selector: undefined })], [pod('a', '10.0.0.1')]), []);
});

test('deriveHosts() gives short names to the own namespace alone', async (t) => {
  const headless = service('db', { headless: true, clusterIps: [] });
  const slices = deriveSlices(
    [service('db', { selector: { app: 'cart' } })],
    [pod('a', '10.0.0.1', { meta: CART }), pod('b', '10.0.0.2', { ready: false, meta: CART })],
  );
  const hosts = deriveHosts(
    [service('cart'), headless, service('none', { clusterIps: [] })],
    [
      serviceEntry('pay', {
        hosts: ['pay.example', '*.wild'],
        addresses: ['192.0.2.1', '10.0.0.0/8'],
      }),
      serviceEntry('own', { addresses: ['192.0.2.2'], exportTo: 'namespace' }),
      serviceEntry('free', {}),
    ],
    slices,
    'cluster.local',
  );
  t.strictSame(hosts, [
    {
      namespace: '',
      names: ['cart.shop', 'cart.shop.svc', 'cart.shop.svc.cluster.local'],
      addresses: ['10.32.0.1'],
    },
    { namespace: 'shop', names: ['cart'], addresses: ['10.32.0.1'] },
    {
      namespace: '',
      names: ['db.shop', 'db.shop.svc', 'db.shop.svc.cluster.local'],
      addresses: ['10.0.0.1'],
    },
    { namespace: 'shop', names: ['db'], addresses: ['10.0.0.1'] },
    { namespace: '', names: ['pay.example'], addresses: ['192.0.2.1'] },
    { namespace: 'shop', names: ['own.example'], addresses: ['192.0.2.2'] },
  ]);
});

function declared(name: string, more: Partial<DeclaredService> = {}): DeclaredService {
  const { meta: _, ...fields } = more;
  return { ...service(name, { clusterIps: [], ...fields }), families: ['IPv4', 'IPv6'], ...fields };
}

test('ServiceAddresses gives one address of each family and keeps it', async (t) => {
  const addresses = new ServiceAddresses();
  const [first] = addresses.assign([declared('cart')]);
  t.match(first?.clusterIps[0], /^10\.32\.\d+\.\d+$/);
  t.match(first?.clusterIps[1], /^fd00:32::[0-9a-f]+$/);
  const many = addresses.assign([declared('aaa'), declared('cart'), declared('zzz')]);
  t.strictSame(many[1]?.clusterIps, first?.clusterIps);
  t.strictSame(new ServiceAddresses().assign([declared('cart')])[0], first, 'after a restart too');
});

test('ServiceAddresses gives no address twice, written ones included', async (t) => {
  const addresses = new ServiceAddresses();
  const names = Array.from({ length: 5000 }, (_, i) => declared(`svc-${i}`));
  const given = addresses.assign(names).flatMap(({ clusterIps }) => clusterIps);
  t.equal(new Set(given).size, 10_000);
  const stolen = given[0] ?? '';
  const later = addresses.assign([...names, declared('thief', { clusterIps: [stolen] })]);
  t.equal(later.flatMap(({ clusterIps }) => clusterIps).filter((a) => a === stolen).length, 1);
  t.equal(later.at(-1)?.clusterIps[0], stolen);
});

test('ServiceAddresses leaves headless, written and single-family Services as they want', async (t) => {
  const assign = (one: DeclaredService): readonly string[] =>
    new ServiceAddresses().assign([one])[0]?.clusterIps ?? [];
  t.strictSame(assign(declared('a', { headless: true })), []);
  t.strictSame(assign(declared('a', { clusterIps: ['10.1.1.1', 'fd00::1'] })), [
    '10.1.1.1',
    'fd00::1',
  ]);
  t.match(assign(declared('a', { clusterIps: ['10.1.1.1'] })), ['10.1.1.1', /^fd00:32::/]);
  const six = assign(declared('a', { families: ['IPv6'] }));
  t.equal(six.length, 1);
  t.match(six[0], /^fd00:32::/);
});

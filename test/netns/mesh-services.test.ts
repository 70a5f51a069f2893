/** Services: how they are addressed, who answers for them, and what happens when somebody does not. */
import { test, type Test } from 'tap';
import { Mesh } from '../helpers/mesh.ts';
import {
  account,
  documents,
  namespace,
  nodes,
  object,
  pod,
  service,
} from '../helpers/mesh-yaml.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { greet, greeter, PodClient } from '../helpers/pod-apps.ts';
import { eventually } from '../helpers/program.ts';
import { SLACK } from '../helpers/slack.ts';

const VIP4 = '10.32.0.10';
const VIP6 = 'fd00:32::10';

/** A service over both pods; `last` is the last part of its addresses. */
function overBoth(name: string, last: number, more: object = {}): string {
  const clusterIPs = [`10.32.0.${last}`, `fd00:32::${last}`];
  return service(name, 'cart', 80, {
    clusterIPs,
    ports: [{ name: 'main', port: 80, targetPort: 'http' }],
    ...more,
  });
}

const app = { app: 'cart' };
const yaml = documents(
  nodes(2, ['zone-a', 'zone-b']),
  namespace('shop'),
  namespace('outside', {}),
  account('web'),
  account('cart'),
  pod('web', { node: 1, account: 'web' }),
  pod('near', { node: 1, account: 'cart', labels: app, ports: { http: 8080 } }),
  pod('far', { node: 2, account: 'cart', labels: app, ports: { http: 8081 } }),
  pod('legacy', { node: 2, labels: { 'test/host': '100' } }, 'outside'),
  overBoth('cart', 10),
  overBoth('headless', 0, { clusterIPs: undefined, clusterIP: 'None' }),
  overBoth('local', 11, { internalTrafficPolicy: 'Local' }),
  overBoth('zonal', 12, { trafficDistribution: 'PreferClose' }),
  overBoth('sticky', 13, { sessionAffinity: 'ClientIP' }),
  // The second target port is served by nobody.
  pod('well', { node: 1, account: 'cart', labels: { app: 'shaky' } }),
  pod('ill', { node: 2, account: 'cart', labels: { app: 'shaky' } }),
  service('shaky', 'shaky', 80, {
    clusterIPs: ['10.32.0.14', 'fd00:32::14'],
    ports: [{ name: 'main', port: 80, targetPort: 8080 }],
  }),
  object(
    'networking.istio.io/v1',
    'ServiceEntry',
    { name: 'partner', namespace: 'shop' },
    {
      spec: {
        hosts: ['partner.example.com'],
        addresses: ['10.77.0.1'],
        ports: [{ number: 443, name: 'tls', protocol: 'TLS', targetPort: 8443 }],
        resolution: 'STATIC',
        endpoints: [{ address: '10.66.0.100' }],
      },
    },
  ),
);

/** Who answered: connections seen by each pod since the last call. */
async function setUp(t: Test) {
  const mesh = await Mesh.start(t, 'meshsvc', { yaml });
  const web = mesh.pod('shop/web');
  const near = await greeter(t, mesh.pod('shop/near').fd, 8080);
  const far = await greeter(t, mesh.pod('shop/far').fd, 8081);
  await greeter(t, mesh.pod('shop/well').fd, 8080);
  const legacy = await greeter(t, mesh.pod('outside/legacy').fd, 8443);
  /** Connects so often, and counts who took it. */
  const spread = async (address: string, times: number): Promise<[number, number]> => {
    const before = [near.clients.length, far.clients.length];
    for (let i = 0; i < times; i += 1) await greet(web.fd, address, 80);
    return [near.clients.length - (before[0] ?? 0), far.clients.length - (before[1] ?? 0)];
  };
  return { mesh, web, spread, legacy };
}

test('services by every kind of address, and what is no service', { skip }, async (t) => {
  const { mesh, web, spread, legacy } = await setUp(t);
  for (const vip of [VIP4, VIP6]) {
    const [near, far] = await spread(vip, 24);
    t.ok(near > 0 && far > 0, `${vip}: ${near} and ${far}; each by its own port of that name`);
  }
  t.match(
    await mesh.access(1, { 'dst.service': 'cart.shop.svc.cluster.local', direction: 'outbound' }),
    {
      direction: 'outbound',
      security: 'mutual_tls',
      'dst.identity': 'spiffe://cluster.local/ns/shop/sa/cart',
    },
  );
  await t.rejects(greet(web.fd, VIP4, 81), 'a port that the service has not');
  t.match(await mesh.access(1, { code: 'NO_HEALTHY_ENDPOINT' }), { error: /has no port 81/ });
  const far = mesh.pod('shop/far');
  t.equal(await greet(web.fd, far.address6 ?? '', 8081), web.address6, 'headless: by its address');

  // One of two endpoints refuses; no connection may notice.
  for (let i = 0; i < 12; i += 1) {
    t.equal(await greet(web.fd, '10.32.0.14', 80), web.address4);
  }
  t.match(await mesh.access(1, { 'dst.workload': 'well', retries: 1 }), { ending: /./ });
  t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');

  t.equal(await greet(web.fd, '10.77.0.1', 443), web.address4, 'a ServiceEntry');
  t.strictSame(legacy.clients, [web.address4]);
  t.match(await mesh.access(1, { 'dst.service': 'partner.example.com' }), { security: 'unknown' });
  const other = mesh.net.node(2);
  await greeter(t, other.fd, 8080);
  t.equal(await greet(web.fd, other.address4, 8080), web.address4, 'what nobody knows passes');
  await t.rejects(greet(web.fd, '10.32.0.99', 80), 'and ends as it would without a mesh');
});

test('readiness, termination and preferences hold at once', { skip }, async (t) => {
  const { mesh, web, spread } = await setUp(t);
  t.strictSame(await spread('10.32.0.11', 6), [6, 0], 'Local: the endpoint of this node alone');
  t.strictSame(await spread('10.32.0.12', 6), [6, 0], 'PreferClose: the same zone');
  const sticky = await spread('10.32.0.13', 8);
  t.ok(sticky.includes(8), `ClientIP: one endpoint, ${sticky.join(' and ')}`);
  t.strictSame(await spread('fd00:32::13', 8), sticky, 'and the same by its other address');

  const standing = new PodClient(web.fd, '10.32.0.11', 80);
  await standing.line();
  const start = performance.now();
  await mesh.report('shop/near', { ready: false });
  await eventually('the change is in force', async () => {
    const [near] = await spread(VIP4, 4);
    if (near > 0) throw new Error('an endpoint that is not ready was chosen');
  });
  const ms = performance.now() - start;
  t.ok(ms < SLACK * 1000, `${Math.round(ms)} ms after it was not ready any more`);
  t.strictSame(await spread(VIP4, 12), [0, 12], 'all go to the other');
  t.strictSame(await spread('10.32.0.12', 4), [0, 4], 'PreferClose spills over');
  t.strictSame(await spread('10.32.0.13', 4), [0, 4], 'ClientIP moves on');
  await t.rejects(greet(web.fd, '10.32.0.11', 80), 'Local does not');
  const refused = {
    'dst.service': 'local.shop.svc.cluster.local',
    code: 'NO_HEALTHY_ENDPOINT',
  };
  t.ok(await mesh.access(1, refused));
  t.ok(await standing.echo('what stands goes on'));

  await mesh.report('shop/far', { terminating: true });
  await eventually('nobody is left', async () => {
    const seen = await greet(web.fd, VIP4, 80).catch(() => 'refused');
    if (seen !== 'refused') throw new Error('an endpoint that ends was chosen');
  });
  await mesh.report('shop/near', { ready: true });
  await eventually('one is back', async () => greet(web.fd, VIP4, 80));
  t.strictSame(await spread(VIP4, 6), [6, 0]);
  t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');
});

test('an endpoint whose node has lost its agent is passed over', { skip }, async (t) => {
  const { mesh, web, spread } = await setUp(t);
  const standing = new PodClient(web.fd, '10.32.0.12', 80);
  await standing.line();
  const [, before] = await spread(VIP4, 12);
  t.ok(before > 0);
  await mesh.agent(2).end('SIGKILL');
  t.strictSame(await spread(VIP4, 12), [12, 0], 'every connection has another endpoint');
  t.ok(await standing.echo('what stands elsewhere goes on'));
  await t.rejects(greet(web.fd, mesh.pod('shop/far').address4 ?? '', 8081), 'nothing in clear');
  mesh.agent(2).start();
  await mesh.proven();
  await eventually('it is chosen again', async () => {
    const [, far] = await spread(VIP6, 4);
    if (far === 0) throw new Error('not yet');
  });
  t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');
});

/** Every row of the outbound decision tree (hbone.md section 3.1) that needs no waypoint. */
import { test } from 'tap';
import { route } from '#common/decide/route.ts';
import type { Destination, Route } from '#common/decide/route.ts';
import type { Target } from '#common/decide/target.ts';
import type { View } from '#common/mesh/view.ts';
import { balanceRig } from '../../helpers/mesh-balance.ts';
import { backs, balancing, replicas, service, viewOf, workload } from '../../helpers/mesh-build.ts';

const ports = [
  { name: 'http', port: 80, targetPort: 8080, appProtocol: '' },
  { name: 'named', port: 81, targetPort: 0, appProtocol: '' },
];
const cart = service('cart', {
  addresses: ['10.32.0.1', 'fd00:32::1'],
  ports,
  subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/legacy', 'no identity', 'spiffe://x/y'],
});
const empty = service('empty', { addresses: ['10.32.0.2'] });
const headless = service('headless', { headless: true });
const hidden = service('hidden', {
  namespace: 'bank',
  visibility: 'namespace',
  addresses: ['10.32.0.3'],
});
const host = service('host', { addresses: ['10.32.0.4'] });
const web = service('web', { hostname: 'api.example', addresses: ['240.0.0.1'], canonical: false });
const open = service('open', {
  addresses: ['203.0.113.1'],
  loadBalancing: { ...balancing, mode: 'passthrough' },
});
const block = service('block', { addresses: ['10.64.0.0/16', '198.51.100.0/24'] });
const client = workload('client', { addresses: ['10.64.9.9', 'fd00:64::9'] });

const view = viewOf({
  services: [cart, empty, headless, hidden, host, web, open, block],
  workloads: [
    client,
    workload('cart-0', {
      addresses: ['10.64.0.1', 'fd00:64::1'],
      serviceAccount: 'cart',
      memberships: [
        { service: cart.key, ports: [{ servicePort: 81, targetPort: 9090 }] },
        { service: headless.key, ports: [] },
      ],
    }),
    workload('plain', { addresses: ['10.64.0.2'], tunnel: 'none' }),
    workload('on-host', {
      addresses: ['192.168.0.1'],
      tunnel: 'none',
      hostNetwork: true,
      ...backs(host),
    }),
    workload('entry', { hostname: 'api.example', tunnel: 'none', ...backs(web) }),
    workload('vault', { namespace: 'bank', addresses: ['10.64.0.9'], ...backs(hidden) }),
    workload('leaving', { addresses: ['10.64.0.3'], health: 'terminating' }),
  ],
});

function to(address: string, port: number, over: Partial<typeof client> = {}): Route {
  return route(view, { ...client, ...over }, { address, port });
}

function chosen(decided: Route, tried: readonly string[] = []): Target | undefined {
  if (decided.kind !== 'endpoints') throw new Error(`it is ${decided.kind}: ${decided.reason}`);
  return decided.choose(balanceRig().state, new Set(tried));
}

test('route() sends a service address through a tunnel to an endpoint', async (t) => {
  t.match(chosen(to('10.32.0.1', 80)), {
    address: '10.64.0.1',
    hostname: '',
    port: 8080,
    tunnel: 'hbone',
    workload: { name: 'cart-0' },
    service: { key: cart.key },
    expected: [
      'spiffe://cluster.local/ns/shop/sa/cart',
      'spiffe://cluster.local/ns/shop/sa/legacy',
    ],
  });
});

test('route() stays in the family that the client has asked for', async (t) => {
  t.equal(chosen(to('fd00:32::1', 80))?.address, 'fd00:64::1');
});

test('route() takes the other family when an endpoint has only that', async (t) => {
  const two = viewOf({
    services: [cart],
    workloads: [client, ...replicas('four', { count: 1, prefix: '10.64.0.', ...backs(cart) })],
  });
  const decided = route(two, client, { address: 'fd00:32::1', port: 80 });
  t.equal(chosen(decided)?.address, '10.64.0.1');
});

test('route() takes a named target port from the endpoint', async (t) => {
  t.equal(chosen(to('10.32.0.1', 81))?.port, 9090);
});

test('route() refuses a port that a service does not have', async (t) => {
  t.match(to('10.32.0.1', 82), {
    kind: 'refuse',
    code: 'NO_HEALTHY_ENDPOINT',
    service: { key: cart.key },
  });
});

test('route() never passes a service without endpoints', async (t) => {
  t.equal(chosen(to('10.32.0.2', 80)), undefined);
});

test('route() sends a pod address to that pod, and to no other', async (t) => {
  const decided = to('10.64.0.1', 5432);
  const target = chosen(decided);
  t.match(target, {
    address: '10.64.0.1',
    port: 5432,
    tunnel: 'hbone',
    service: undefined,
    expected: ['spiffe://cluster.local/ns/shop/sa/cart'],
  });
  t.equal(chosen(decided, [target?.workload.uid ?? '']), undefined);
});

test('route() speaks in clear to a pod that no agent captures', async (t) => {
  t.match(chosen(to('10.64.0.2', 80)), { address: '10.64.0.2', tunnel: 'none', expected: [] });
});

test('route() takes a pod address even while the pod is terminating', async (t) => {
  t.equal(chosen(to('10.64.0.3', 80))?.workload.name, 'leaving');
});

test('route() passes node addresses, and what nobody knows', async (t) => {
  for (const address of ['192.168.0.1', '1.1.1.1', '2001:db8::1']) {
    t.match(to(address, 443), { kind: 'direct', service: undefined });
  }
});

test('route() speaks in clear to a host-network endpoint of a service', async (t) => {
  t.match(chosen(to('10.32.0.4', 80)), { address: '192.168.0.1', port: 8080, tunnel: 'none' });
});

test('route() leaves a name for the caller to resolve when an endpoint has only that', async (t) => {
  t.match(chosen(to('240.0.0.1', 80)), { address: '', hostname: 'api.example', tunnel: 'none' });
});

test('route() passes what a service wants passed, and says which service', async (t) => {
  t.match(to('203.0.113.1', 80), { kind: 'direct', service: { key: open.key } });
});

test('route() takes a pod before a CIDR around it, and the CIDR otherwise', async (t) => {
  t.equal(chosen(to('10.64.0.1', 80))?.service, undefined);
  t.match(to('198.51.100.7', 80), { kind: 'endpoints', service: { key: block.key } });
});

test('route() hides a service from other namespaces', async (t) => {
  t.match(to('10.32.0.3', 80), { kind: 'direct', service: undefined });
  t.equal(chosen(to('10.32.0.3', 80, { namespace: 'bank' }))?.workload.name, 'vault');
});

test('route() lets a pod reach itself through its service', async (t) => {
  const self = view.workload('Kubernetes//Pod/shop/cart-0');
  t.equal(chosen(route(view, self, { address: '10.32.0.1', port: 80 }))?.workload, self);
});

test('route() refuses the ports of the agent itself', async (t) => {
  for (const address of ['127.0.0.1', '::1', '10.64.9.9', 'fd00:64::9']) {
    for (const port of [15_001, 15_006, 15_008]) {
      t.match(to(address, port), { kind: 'refuse', code: 'LOOP_REFUSED' });
    }
    t.not(to(address, 80).kind, 'refuse');
  }
  t.match(route(view, undefined, { address: '127.0.0.1', port: 15_001 }), { code: 'LOOP_REFUSED' });
});

test('route() refuses while the source is not known', async (t) => {
  const decided = route(view, undefined, { address: '10.32.0.1', port: 80 });
  t.match(decided, { kind: 'refuse', code: 'UNKNOWN_SOURCE' });
});

test('route() prefers the service of its own namespace, then the canonical one', async (t) => {
  const addresses = ['10.32.0.9'];
  const shared = (over: Parameters<typeof service>[1]): ReturnType<typeof service> =>
    service('shared', { addresses, ...over });
  const many = viewOf({
    services: [
      shared({ namespace: 'a', canonical: false }),
      shared({ namespace: 'b', canonical: true }),
      shared({ namespace: 'c', canonical: false }),
    ],
  });
  const seenFrom = (namespace: string): string | undefined => {
    const decided = route(many, { ...client, namespace }, { address: '10.32.0.9', port: 80 });
    return decided.service?.namespace;
  };
  t.strictSame(['a', 'b', 'c', 'd'].map(seenFrom), ['a', 'b', 'c', 'b']);
});

test('route() prefers its own namespace, then the longest prefix, among CIDRs', async (t) => {
  const blocks = viewOf({
    services: [
      service('wide', { namespace: 'a', addresses: ['10.0.0.0/8'] }),
      service('narrow', { namespace: 'b', addresses: ['10.1.0.0/16'] }),
      service('all-six', { namespace: 'c', addresses: ['::/0'] }),
    ],
  });
  const name = (namespace: string, wanted: Destination): string | undefined =>
    route(blocks, { ...client, namespace }, wanted).service?.name;
  t.equal(name('a', { address: '10.1.2.3', port: 80 }), 'wide');
  t.equal(name('x', { address: '10.1.2.3', port: 80 }), 'narrow');
  t.equal(name('x', { address: '10.2.2.3', port: 80 }), 'wide');
  t.equal(name('c', { address: '11.0.0.1', port: 80 }), undefined, '::/0 holds no IPv4');
  t.equal(name('x', { address: 'fd00::1', port: 80 }), 'all-six');
});

test('choose() goes through all endpoints, each once', async (t) => {
  const many: View = viewOf({
    services: [cart],
    workloads: [client, ...replicas('cart', { count: 20, prefix: '10.64.0.', ...backs(cart) })],
  });
  const decided = route(many, client, { address: '10.32.0.1', port: 80 });
  const tried = new Set<string>();
  for (let i = 0; i < 20; i += 1) {
    const target = chosen(decided, Array.from(tried));
    t.notOk(tried.has(target?.workload.uid ?? ''));
    tried.add(target?.workload.uid ?? '');
  }
  t.equal(chosen(decided, Array.from(tried)), undefined);
});

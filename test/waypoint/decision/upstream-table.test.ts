import { test } from 'tap';
import { DEFAULT_BACKEND_POLICY } from '#common/mesh/backend-policy.ts';
import type { BackendPolicy } from '#common/mesh/backend-policy.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import { UpstreamTable } from '../../../waypoint/decision/upstream-table.ts';
import { backs, delta, replicas, service, viewOf } from '../../helpers/mesh-build.ts';
import { randomFrom } from '../../helpers/mesh-random.ts';

const CART = service('cart', { addresses: ['10.32.0.1'] });

function setUp({ backendPolicy = {} }: { readonly backendPolicy?: Partial<BackendPolicy> } = {}) {
  const view = viewOf({
    services: [CART],
    workloads: replicas('cart', { count: 3, prefix: '10.64.0.', ...backs(CART) }),
  });
  const policy = { ...DEFAULT_BACKEND_POLICY, ...backendPolicy };
  const upstreams = new UpstreamTable({
    view,
    standpoint: {
      node: 'n',
      cluster: 'Kubernetes',
      locality: { region: '', zone: '', subzone: '' },
    },
    policyOf: () => policy,
    told: () => undefined,
  });
  return { view, upstreams, policy };
}

test('UpstreamTable follows the view, and keeps what is known of who stays', async (t) => {
  const { upstreams, view, policy } = setUp();
  const upstream = upstreams.get(CART.key, 80, 1000);
  t.equal(upstream?.set.size, 3);
  const stays = upstream?.set.get('Kubernetes//Pod/shop/cart-0');
  const call = stays && upstream?.begin(stays, false, 1000);
  t.equal(call?.target.address, '10.64.0.1');
  t.equal(call?.target.port, 8080);
  const [first, second] = replicas('cart', { count: 2, prefix: '10.64.0.', ...backs(CART) });
  if (first === undefined || second === undefined) throw new Error('no replicas');
  const change = delta(
    {
      workloads: [first, { ...second, health: 'not-ready' }],
      removed: { workloads: ['Kubernetes//Pod/shop/cart-2'] },
    },
    2,
  );
  view.apply(packUpdate(change));
  const later = upstreams.get(CART.key, 80, 1000);
  t.equal(later, upstream);
  t.equal(later?.set.size, 1);
  t.equal(later?.set.get('Kubernetes//Pod/shop/cart-0'), stays);
  t.equal(stays?.active, 1);
  if (call !== undefined) later?.end(call, 'ok', 1000 + 40);
  t.equal(stays?.active, 0);
  t.equal(later?.policy, policy);
  t.equal(upstreams.get(CART.key, 81, 1000), undefined);
  t.equal(upstreams.get('shop/nobody', 80, 1000), undefined);
});

test('Upstream refuses what its limits and its budget do not bear, and counts what has ended', async (t) => {
  const { upstreams } = setUp({
    backendPolicy: {
      limits: { connections: 9, pending: 9, requests: 2, retries: 1 },
      budget: { share: 0, minPerSecond: 0.1 },
    },
  });
  const upstream = upstreams.get(CART.key, 80, 1000);
  const endpoint = upstream?.set.get('Kubernetes//Pod/shop/cart-0');
  if (upstream === undefined || endpoint === undefined) throw new Error('no upstream');
  const one = upstream.begin(endpoint, false, 0);
  const retry = upstream.begin(endpoint, true, 0);
  t.ok(one);
  t.ok(retry);
  t.equal(upstream.begin(endpoint, false, 0), undefined, 'two are under way');
  if (one !== undefined) upstream.end(one, 'connect-failed', 1);
  if (retry !== undefined) upstream.end(retry, 'connect-failed', 1);
  t.equal(upstream.begin(endpoint, true, 2), undefined, 'the budget is spent');
  t.equal(upstream.circuit.used('requests'), 0, 'and nothing of it stays');
  t.equal(upstream.circuit.used('retries'), 0);
  t.ok(endpoint.isOut, 'two failed connects put it out');
});

test('endpoints come in levels by locality, as the agents rank them', async (t) => {
  const here = { region: 'eu', zone: 'a', subzone: '' };
  const there = { region: 'eu', zone: 'b', subzone: '' };
  const near = service('near', {
    loadBalancing: {
      algorithm: 'random',
      mode: 'failover',
      scopes: ['region', 'zone'],
      clientIpAffinitySeconds: 0,
    },
  });
  const view = viewOf({
    services: [near],
    workloads: [
      ...replicas('here', { count: 2, prefix: '10.64.2.', locality: here, ...backs(near) }),
      ...replicas('there', { count: 3, prefix: '10.64.3.', locality: there, ...backs(near) }),
    ],
  });
  const upstreams = new UpstreamTable({
    view,
    standpoint: { node: 'n', cluster: 'Kubernetes', locality: here },
    policyOf: () => DEFAULT_BACKEND_POLICY,
    told: () => undefined,
  });
  const upstream = upstreams.get(near.key, 80, 0);
  t.strictSame(
    upstream?.set.levels.map(({ endpoints }) => endpoints.length),
    [2, 3],
  );
  const ask = { nowMs: 0, random: randomFrom(1), hash: undefined, tried: undefined };
  t.match(upstream?.pick(ask)?.id, /here/);
});

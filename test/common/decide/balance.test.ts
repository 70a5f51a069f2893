/** How endpoints are chosen: shares by weight, ranks, affinity, failures. */
import { test } from 'tap';
import { route } from '#common/decide/route.ts';
import type { BalanceState } from '#common/decide/balance-state.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import type { LoadBalancing, Service } from '#common/mesh/service.ts';
import type { View } from '#common/mesh/view.ts';
import type { Locality, Workload } from '#common/mesh/workload.ts';
import { balanceRig } from '../../helpers/mesh-balance.ts';
import {
  backs,
  balancing,
  delta,
  replicas,
  service,
  viewOf,
  workload,
} from '../../helpers/mesh-build.ts';

const client = workload('client', {
  addresses: ['10.64.9.9'],
  node: 'n1',
  locality: at('r1', 'z1'),
});

interface Story {
  readonly view: View;
  readonly cart: Service;
  readonly state: BalanceState;
  readonly pass: (ms: number) => void;
  /** Picks once, by the name of the workload. */
  readonly pick: (tried?: readonly string[], from?: Workload) => string | undefined;
  /** How often each is picked in `times`. */
  readonly shares: (times: number) => Record<string, number>;
}

function setUp(
  loadBalancing: Partial<LoadBalancing>,
  endpoints: (behind: Pick<Workload, 'memberships'>) => readonly Workload[],
  over: Partial<Service> = {},
): Story {
  const cart = service('cart', {
    addresses: ['10.32.0.1'],
    loadBalancing: { ...balancing, ...loadBalancing },
    ...over,
  });
  const view = viewOf({ services: [cart], workloads: [client, ...endpoints(backs(cart))] });
  const { state, pass } = balanceRig();
  const pick: Story['pick'] = (tried = [], from = client) => {
    const decided = route(view, from, { address: '10.32.0.1', port: 80 });
    if (decided.kind !== 'endpoints') throw new Error(decided.reason);
    const uids = tried.map((name) => workload(name).uid);
    return decided.choose(state, new Set(uids))?.workload.name;
  };
  const shares: Story['shares'] = (times) => {
    const counts: Record<string, number> = {};
    for (let i = 0; i < times; i += 1) {
      const name = pick() ?? 'none';
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  };
  return { view, cart, state, pass, pick, shares };
}

function at(region: string, zone: string): Locality {
  return { region, zone, subzone: '' };
}

const three = (behind: Pick<Workload, 'memberships'>): Workload[] => [
  workload('a', { addresses: ['10.64.0.1'], weight: 1, ...behind }),
  workload('b', { addresses: ['10.64.0.2'], weight: 2, ...behind }),
  workload('c', { addresses: ['10.64.0.3'], weight: 5, ...behind }),
];

for (const algorithm of ['random', 'round-robin'] as const) {
  test(`${algorithm} gives each endpoint its share by weight`, async (t) => {
    const { shares } = setUp({ algorithm }, three);
    const { a = 0, b = 0, c = 0 } = shares(8000);
    for (const [count, wanted] of [
      [a, 1000],
      [b, 2000],
      [c, 5000],
    ] as const) {
      t.ok(Math.abs(count - wanted) < 150, `${count} of ${wanted}`);
    }
  });

  test(`${algorithm} keeps the shares of the others when one has been tried`, async (t) => {
    const { pick } = setUp({ algorithm }, three);
    const counts = { a: 0, b: 0 };
    for (let i = 0; i < 6000; i += 1) {
      const name = pick(['c']);
      if (name === 'a' || name === 'b') counts[name] += 1;
    }
    t.equal(counts.a + counts.b, 6000);
    t.ok(Math.abs(counts.a - 2000) < 250, `${counts.a} of 2000`);
  });
}

test('round-robin takes endpoints of one weight strictly in turn', async (t) => {
  const { shares } = setUp({ algorithm: 'round-robin' }, (behind) =>
    replicas('cart', { count: 7, prefix: '10.64.0.', ...behind }),
  );
  t.strictSame(new Set(Object.values(shares(70))), new Set([10]));
});

test('least-connections evens out, by weight', async (t) => {
  const { view, state, pick } = setUp({ algorithm: 'least-connections' }, three);
  for (let i = 0; i < 800; i += 1) {
    const name = pick();
    state.opened(workload(name ?? '').uid);
  }
  const open = ['a', 'b', 'c'].map((name) => state.openConnections(workload(name).uid));
  t.strictSame(
    open.map((count) => Math.round(count / 100)),
    [1, 2, 5],
  );
  const idle = workload('b').uid;
  while (state.openConnections(idle) > 0) state.closed(idle);
  t.equal(state.openConnections(idle), 0);
  t.ok(view.workload(idle));
});

test('least-connections keeps to weights when nothing is open', async (t) => {
  const { pick } = setUp({ algorithm: 'least-connections' }, three);
  const counts: Record<string, number> = {};
  for (let i = 0; i < 4000; i += 1) {
    const name = pick() ?? '';
    counts[name] = (counts[name] ?? 0) + 1;
  }
  // Weights 1, 2 and 5: short connections must reach the light ones too.
  t.ok(Math.abs((counts['a'] ?? 0) / 4000 - 1 / 8) < 0.03, `a got ${counts['a']} of 4000`);
  t.ok(Math.abs((counts['c'] ?? 0) / 4000 - 5 / 8) < 0.03, `c got ${counts['c']} of 4000`);
});

test('weight 0, no address, not ready and terminating are never chosen', async (t) => {
  const odd = (behind: Pick<Workload, 'memberships'>): Workload[] => [
    workload('good', { addresses: ['10.64.0.1'], ...behind }),
    workload('light', { addresses: ['10.64.0.2'], weight: 0, ...behind }),
    workload('homeless', behind),
    workload('starting', { addresses: ['10.64.0.4'], health: 'not-ready', ...behind }),
    workload('leaving', { addresses: ['10.64.0.5'], health: 'terminating', ...behind }),
  ];
  t.strictSame(setUp({}, odd).shares(200), { good: 200 });
  const early = setUp({}, odd, { publishNotReady: true }).shares(200);
  t.strictSame(Object.keys(early).toSorted(), ['good', 'starting']);
});

test('a change of health counts from the next pick on', async (t) => {
  const { view, cart, pick } = setUp({}, (behind) => [
    workload('a', { addresses: ['10.64.0.1'], ...behind }),
  ]);
  t.equal(pick(), 'a');
  const a = workload('a', { addresses: ['10.64.0.1'], ...backs(cart) });
  view.apply(packUpdate(delta({ workloads: [{ ...a, health: 'terminating' }] }, 2)));
  t.equal(pick(), undefined);
  const b = workload('b', { addresses: ['10.64.0.2'], ...backs(cart) });
  view.apply(packUpdate(delta({ workloads: [b], removed: { workloads: [a.uid] } }, 3)));
  t.equal(pick(), 'b');
  view.apply(packUpdate(delta({ services: [{ ...cart, ports: [] }] }, 4)));
  t.throws(() => pick(), /no port 80/);
});

test('a change of the service counts from the next pick on', async (t) => {
  const { view, cart, shares } = setUp({}, spread);
  t.equal(Object.keys(shares(200)).length, 4);
  const loadBalancing: LoadBalancing = { ...balancing, mode: 'failover', scopes: ['region'] };
  view.apply(packUpdate(delta({ services: [{ ...cart, loadBalancing }] }, 2)));
  t.equal(Object.keys(shares(200)).length, 3);
  // The same key of the plan as before: only the service itself tells them apart.
  const strict: LoadBalancing = { ...loadBalancing, mode: 'strict', scopes: ['node', 'region'] };
  view.apply(packUpdate(delta({ services: [{ ...cart, loadBalancing: strict }] }, 3)));
  t.strictSame(shares(50), { 'same-node': 50 });
});

const spread = (behind: Pick<Workload, 'memberships'>): Workload[] => [
  workload('same-node', {
    addresses: ['10.64.0.1'],
    node: 'n1',
    locality: at('r1', 'z1'),
    ...behind,
  }),
  workload('same-zone', {
    addresses: ['10.64.0.2'],
    node: 'n2',
    locality: at('r1', 'z1'),
    ...behind,
  }),
  workload('same-region', {
    addresses: ['10.64.0.3'],
    node: 'n3',
    locality: at('r1', 'z2'),
    ...behind,
  }),
  // The node's name alone is no match: a rank stops at the first scope that misses.
  workload('far', { addresses: ['10.64.0.4'], node: 'n1', locality: at('r2', 'z1'), ...behind }),
];

test('failover spills over from rank to rank, and no further than needed', async (t) => {
  const { pick, shares } = setUp(
    { mode: 'failover', scopes: ['region', 'zone', 'subzone', 'node'] },
    spread,
  );
  t.strictSame(shares(50), { 'same-node': 50 });
  const order: string[] = [];
  for (let name = pick(order); name !== undefined; name = pick(order)) order.push(name);
  t.strictSame(order, ['same-node', 'same-zone', 'same-region', 'far']);
});

test('strict refuses rather than leave its scope', async (t) => {
  const { pick, shares } = setUp({ mode: 'strict', scopes: ['node'] }, spread);
  t.strictSame(Object.keys(shares(200)).toSorted(), ['far', 'same-node']);
  t.equal(pick([], workload('stranger', { node: 'n9' })), undefined);
});

test('an endpoint that has just failed is left out, for longer each time', async (t) => {
  const { state, pass, shares } = setUp({}, (behind) =>
    replicas('cart', { count: 2, prefix: '10.64.0.', ...behind }),
  );
  const bad = workload('cart-0').uid;
  state.failed(bad);
  t.strictSame(shares(100), { 'cart-1': 100 });
  pass(2000);
  t.ok((shares(100)['cart-0'] ?? 0) > 20);
  state.failed(bad);
  pass(2000);
  t.strictSame(shares(100), { 'cart-1': 100 });
  pass(2000);
  t.ok((shares(100)['cart-0'] ?? 0) > 20);
  state.failed(bad);
  state.opened(bad);
  t.ok((shares(100)['cart-0'] ?? 0) > 20, 'a success clears it');
});

test('a rank whose endpoints all failed spills over; when all failed, all are tried', async (t) => {
  const { state, pick } = setUp({ mode: 'failover', scopes: ['region', 'zone'] }, spread);
  state.failed(workload('same-node').uid);
  state.failed(workload('same-zone').uid);
  t.equal(pick(), 'same-region');
  state.failed(workload('same-region').uid);
  state.failed(workload('far').uid);
  t.match(pick(), /same-(node|zone)/);
  t.equal(pick(['same-node', 'same-zone', 'same-region']), 'far');
});

test('affinity keeps a client with its endpoint, until it ends or leaves', async (t) => {
  const { view, state, pass, pick } = setUp({ clientIpAffinitySeconds: 60 }, (behind) =>
    replicas('cart', { count: 50, prefix: '10.64.0.', ...behind }),
  );
  const first = pick() ?? '';
  for (let i = 0; i < 20; i += 1) t.equal(pick(), first);
  const second = pick([first]) ?? '';
  t.not(second, first);
  t.equal(pick(), second, 'it moves for good when the first one failed');
  pass(61_000);
  t.equal(pick(), first, 'and comes back when forgotten');
  view.apply(packUpdate(delta({ removed: { workloads: [workload(first).uid] } }, 2)));
  t.equal(pick(), second, 'the next in its order');
  t.ok(state);
});

test('affinity is the same in workers that do not talk, and spreads clients', async (t) => {
  const endpoints = (behind: Pick<Workload, 'memberships'>): Workload[] =>
    replicas('cart', { count: 5, prefix: '10.64.0.', ...behind });
  const [one, other] = [
    setUp({ clientIpAffinitySeconds: 60 }, endpoints),
    setUp({ clientIpAffinitySeconds: 60 }, endpoints),
  ];
  const counts = new Map<string | undefined, number>();
  for (let i = 0; i < 1000; i += 1) {
    const from = workload('x', { addresses: [`10.1.${i >> 8}.${i & 255}`] });
    const name = one.pick([], from);
    if (other.pick([], from) !== name) t.fail(`workers disagree about ${from.addresses[0]}`);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  for (const count of counts.values()) t.ok(count > 150 && count < 250, `${count} of 200`);
});

test('BalanceState forgets the oldest of what it may keep', async (t) => {
  const { state } = balanceRig();
  for (let i = 0; i <= 65_536; i += 1) state.keepAffinity(`client-${i}`, 'w', 60);
  t.equal(state.affinity('client-0', 60), undefined);
  t.equal(state.affinity('client-65536', 60), 'w');
  for (let i = 0; i <= 10_000; i += 1) state.failed(`w-${i}`);
  t.notOk(state.isEjected('w-0'));
  t.ok(state.isEjected('w-10000'));
});

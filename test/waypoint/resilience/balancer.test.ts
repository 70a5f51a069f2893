import { test } from 'tap';
import type { BackendPolicy, BalancerKind } from '#common/mesh/backend-policy.ts';
import { DEFAULT_BACKEND_POLICY } from '#common/mesh/backend-policy.ts';
import { pickEndpoint } from '../../../waypoint/resilience/balancer.ts';
import { EndpointSet } from '../../../waypoint/resilience/endpoint-set.ts';
import type { Backend } from '../../helpers/balance-simulator.ts';
import { percentile, shareOf, simulate, specOf } from '../../helpers/balance-simulator.ts';
import { randomFrom } from '../../helpers/mesh-random.ts';

const KINDS: readonly BalancerKind[] = [
  'random',
  'round-robin',
  'least-request',
  'peak-ewma',
  'ring-hash',
  'maglev',
];

function named(count: number, fields: Partial<Backend> = {}): Backend[] {
  return Array.from({ length: count }, (_, i) => ({ id: `e${i}`, ...fields }));
}

function near(value: number, wanted: number, by: number): boolean {
  return Math.abs(value - wanted) <= by;
}

test('every algorithm gives equal endpoints equal shares', async (t) => {
  for (const balancer of KINDS) {
    const result = simulate({
      backends: named(5),
      policy: { balancer },
      requests: 10_000,
      key: (i) => `user-${i}`,
    });
    for (const { id } of named(5)) {
      t.ok(near(shareOf(result, id), 0.2, 0.05), `${balancer} ${id}: ${shareOf(result, id)}`);
    }
  }
});

test('every algorithm keeps to weights', async (t) => {
  const backends = [
    { id: 'a', weight: 1 },
    { id: 'b', weight: 2 },
    { id: 'c', weight: 5 },
  ];
  for (const balancer of KINDS) {
    const result = simulate({
      backends,
      policy: { balancer },
      requests: 20_000,
      key: (i) => `user-${i}`,
    });
    // A second draw is never the first again, so it evens out a little.
    const by = balancer === 'least-request' || balancer === 'peak-ewma' ? 0.1 : 0.04;
    t.ok(near(shareOf(result, 'a'), 1 / 8, by), `${balancer} a: ${shareOf(result, 'a')}`);
    t.ok(near(shareOf(result, 'c'), 5 / 8, by), `${balancer} c: ${shareOf(result, 'c')}`);
  }
});

test('round robin visits one after the other', async (t) => {
  const set = new EndpointSet();
  set.update(named(3).map(specOf), 0);
  const policy = { ...DEFAULT_BACKEND_POLICY, balancer: 'round-robin' } as const;
  const ask = { nowMs: 0, random: randomFrom(1), hash: undefined, tried: undefined };
  const picks = Array.from({ length: 6 }, () => pickEndpoint(set, policy, ask)?.id);
  t.strictSame(picks.slice(0, 3), picks.slice(3));
  t.equal(new Set(picks).size, 3);
});

test('least request and peak EWMA spare an endpoint that is slow; round robin does not', async (t) => {
  const backends: Backend[] = [
    ...named(4, { latencyMs: () => 10 }),
    { id: 'slow', latencyMs: () => 200 },
  ];
  const run = (balancer: BalancerKind) =>
    simulate({ backends, policy: { balancer }, requests: 20_000, everyMs: 2 });
  const plain = run('round-robin');
  const least = run('least-request');
  const ewma = run('peak-ewma');
  t.ok(near(shareOf(plain, 'slow'), 0.2, 0.01));
  t.ok(shareOf(least, 'slow') < 0.1, `${shareOf(least, 'slow')}`);
  t.ok(shareOf(ewma, 'slow') < 0.04, `${shareOf(ewma, 'slow')}`);
  t.equal(percentile(plain.latencies, 0.9), 200);
  t.equal(percentile(ewma.latencies, 0.95), 10);
});

test('peak EWMA takes an endpoint back that has become fast again', async (t) => {
  const backends: Backend[] = [
    ...named(4, { latencyMs: () => 10 }),
    { id: 'mending', latencyMs: (_active, now) => (now < 30_000 ? 500 : 10) },
  ];
  const result = simulate({
    backends,
    policy: { balancer: 'peak-ewma' },
    requests: 30_000,
    everyMs: 5,
  });
  const late = shareOf({ counts: result.lateCounts }, 'mending');
  t.ok(near(late, 0.2, 0.06), `${late} at last`);
  t.ok(shareOf(result, 'mending') < 0.18);
});

test('a new endpoint warms up: its share grows to the full one', async (t) => {
  for (const balancer of ['random', 'round-robin', 'least-request'] as const) {
    const backends: Backend[] = [...named(4), { id: 'new', fromMs: 60_000 }];
    const run = (warmUpMs: number) =>
      simulate({ backends, policy: { balancer, warmUpMs }, requests: 9000, everyMs: 10 });
    const [cold, warm] = [run(0), run(60_000)];
    const [all, some] = [cold.counts['new'] ?? 0, warm.counts['new'] ?? 0];
    t.ok(some < all * 0.5, `${balancer}: ${some} instead of ${all} in its first half minute`);
    t.ok(some > all * 0.1, `${balancer}: but it does get some (${some})`);
  }
});

test('a level bears what it can, and the rest spills over to the next', async (t) => {
  const set = new EndpointSet();
  const specs = [
    ...Array.from({ length: 10 }, (_, i) => ({ id: `near${i}`, weight: 1, level: 0 })),
    ...Array.from({ length: 10 }, (_, i) => ({ id: `far${i}`, weight: 1, level: 1 })),
  ];
  set.update(specs, 0);
  const policy: BackendPolicy = { ...DEFAULT_BACKEND_POLICY, balancer: 'random' };
  const nearShare = (): number => {
    const random = randomFrom(5);
    let hits = 0;
    for (let i = 0; i < 4000; i += 1) {
      const ask = { nowMs: 1, random, hash: undefined, tried: undefined };
      if (pickEndpoint(set, policy, ask)?.id.startsWith('near') === true) hits += 1;
    }
    return hits / 4000;
  };
  const putOut = (count: number, prefix = 'near'): void => {
    for (let i = 0; i < 10; i += 1) {
      const endpoint = set.get(`${prefix}${i}`);
      if (endpoint === undefined) continue;
      set.setOut(endpoint, i < count);
      endpoint.outUntilMs = 1000;
    }
  };
  t.equal(nearShare(), 1);
  putOut(2);
  t.equal(nearShare(), 1, 'eight of ten bear everything');
  putOut(5);
  t.ok(near(nearShare(), 0.7, 0.03), `${nearShare()}`);
  putOut(9);
  t.ok(near(nearShare(), 0.14, 0.03), `${nearShare()}`);
  putOut(10);
  t.equal(nearShare(), 0);
});

test('pickEndpoint() never gives one that was tried, and forgets ejections below the floor', async (t) => {
  const set = new EndpointSet();
  set.update(named(4).map(specOf), 0);
  for (const balancer of KINDS) {
    const policy = { ...DEFAULT_BACKEND_POLICY, balancer };
    const ask = (tried: readonly string[], seed: number) => ({
      nowMs: 1,
      random: randomFrom(seed),
      hash: seed * 1_000_003,
      tried: new Set(tried),
    });
    for (let seed = 0; seed < 50; seed += 1) {
      t.equal(pickEndpoint(set, policy, ask(['e0', 'e1', 'e3'], seed))?.id, 'e2');
    }
    t.equal(pickEndpoint(set, policy, ask(['e0', 'e1', 'e2', 'e3'], 1)), undefined);
    for (const endpoint of set.all()) endpoint.outUntilMs = 1000;
    const out = (...ids: readonly string[]): void => {
      for (const endpoint of set.all()) set.setOut(endpoint, ids.includes(endpoint.id));
    };
    const seen = (): number =>
      new Set(Array.from({ length: 60 }, (_, i) => pickEndpoint(set, policy, ask([], i))?.id)).size;
    out('e0', 'e1');
    t.equal(seen(), 2, `${balancer}: half are out, the others serve`);
    out('e0', 'e1', 'e2');
    t.equal(seen(), 4, `${balancer}: three of four are below the floor of panic`);
    out();
  }
});

test('pickEndpoint() says undefined when there are no endpoints', async (t) => {
  const ask = { nowMs: 0, random: () => 0, hash: undefined, tried: undefined };
  t.equal(pickEndpoint(new EndpointSet(), DEFAULT_BACKEND_POLICY, ask), undefined);
});

import { test } from 'tap';
import { DEFAULT_BACKEND_POLICY } from '#common/mesh/backend-policy.ts';
import type { EjectionPolicy } from '#common/mesh/backend-policy.ts';
import { Ejector, outcomeOfGrpc, outcomeOfStatus } from '../../../waypoint/resilience/ejection.ts';
import type { Outcome } from '../../../waypoint/resilience/ejection.ts';
import { EndpointSet } from '../../../waypoint/resilience/endpoint-set.ts';
import type { Backend } from '../../helpers/balance-simulator.ts';
import { shareOf, simulate } from '../../helpers/balance-simulator.ts';

const POLICY: EjectionPolicy = {
  consecutive5xx: 4,
  consecutiveGatewayErrors: 3,
  consecutiveConnectFailures: 2,
  successRate: undefined,
  baseMs: 1000,
  maxMs: 2500,
  maxShare: 0.5,
  panicShare: 0,
};

function setUp(policy: Partial<EjectionPolicy> = {}, count = 4) {
  const set = new EndpointSet();
  const ids = Array.from({ length: count }, (_, i) => `e${i}`);
  set.update(
    ids.map((id) => ({ id, weight: 1, level: 0 })),
    0,
  );
  const events: string[] = [];
  const ejector = new Ejector(
    set,
    { ...POLICY, ...policy },
    { nowMs: 0, told: ({ id }, what, reason) => events.push(`${what} ${id}: ${reason}`) },
  );
  const call = (id: string, outcome: Outcome, nowMs: number): void => {
    const endpoint = set.get(id);
    if (endpoint === undefined) throw new Error(`no ${id}`);
    const isProbe = ejector.began(endpoint, nowMs);
    ejector.ended(endpoint, isProbe, { outcome, nowMs });
  };
  const available = (nowMs: number): string =>
    [...set.all()].map((one) => (one.isAvailable(nowMs) ? one.id : '-')).join(' ');
  return { set, ejector, events, call, available };
}

test('Ejector puts out who fails in a row, by kind of failure', async (t) => {
  const table: readonly (readonly [outcomes: readonly Outcome[], reason: string])[] = [
    [['connect-failed', 'connect-failed'], 'out e0: 2 failed connects in a row'],
    [['gateway-error', 'gateway-error', 'gateway-error'], 'out e0: 3 gateway errors in a row'],
    [['connect-failed', 'gateway-error', 'gateway-error'], 'out e0: 3 gateway errors in a row'],
    [
      ['server-error', 'server-error', 'gateway-error', 'server-error'],
      'out e0: 4 server errors in a row',
    ],
    [['connect-failed', 'ok', 'connect-failed'], ''],
    [['gateway-error', 'gateway-error', 'server-error'], ''],
    [['gateway-error', 'gateway-error', 'abandoned'], ''],
  ];
  for (const [outcomes, reason] of table) {
    const { call, events } = setUp();
    for (const outcome of outcomes) call('e0', outcome, 1);
    t.equal(events.join(), reason, outcomes.join());
  }
});

test('Ejector lets one request at a time through on probation, and doubts longer each time', async (t) => {
  const { set, ejector, call, available, events } = setUp();
  call('e0', 'connect-failed', 0);
  call('e0', 'connect-failed', 0);
  t.equal(available(999), '- e1 e2 e3');
  t.equal(available(1000), 'e0 e1 e2 e3', 'its time is over');
  const e0 = set.get('e0');
  if (e0 === undefined) throw new Error('no e0');
  const isProbe = ejector.began(e0, 1000);
  t.ok(isProbe);
  t.equal(available(1000), '- e1 e2 e3', 'one probe is under way');
  t.notOk(ejector.began(e0, 1000), 'another request, sent in panic, is no probe');
  ejector.ended(e0, false, { outcome: 'ok', nowMs: 1001 });
  t.equal(available(1001), '- e1 e2 e3', 'and does not bring it back');
  ejector.ended(e0, isProbe, { outcome: 'server-error', nowMs: 1001 });
  t.equal(available(3000), '- e1 e2 e3', 'twice as long now');
  t.equal(available(3001), 'e0 e1 e2 e3');
  call('e0', 'abandoned', 3001);
  t.equal(events.length, 2, 'an abandoned probe says nothing');
  t.equal(available(3001), 'e0 e1 e2 e3', 'and leaves room for the next');
  call('e0', 'gateway-error', 3001);
  t.equal(available(5500), '- e1 e2 e3', 'no longer than the limit');
  call('e0', 'ok', 5501);
  t.strictSame(events, [
    'out e0: 2 failed connects in a row',
    'out e0: failed on probation',
    'out e0: failed on probation',
    'in e0: answered on probation',
  ]);
  t.equal(set.out, 0);
});

test('Ejector never puts more than the share out, and always may put out one', async (t) => {
  const { call, set } = setUp();
  for (const id of ['e0', 'e1', 'e2', 'e3'])
    for (let i = 0; i < 9; i += 1) call(id, 'server-error', 1);
  t.equal(set.out, 2);
  const alone = setUp({ maxShare: 0.1 }, 2);
  for (const id of ['e0', 'e1']) for (let i = 0; i < 9; i += 1) alone.call(id, 'server-error', 1);
  t.equal(alone.set.out, 1);
});

test('Ejector judges success rates among those with enough requests', async (t) => {
  const successRate = { intervalMs: 1000, minRequests: 20, minEndpoints: 3, deviations: 1.5 };
  const { call, ejector, events, set } = setUp({ successRate, consecutive5xx: 0 }, 5);
  for (let i = 0; i < 50; i += 1) {
    for (const id of ['e0', 'e1', 'e2']) call(id, 'ok', 1);
    call('e3', i % 2 === 0 ? 'server-error' : 'ok', 1);
  }
  call('e4', 'server-error', 1);
  ejector.sweep(999);
  t.strictSame(events, [], 'the interval is not over');
  ejector.sweep(1000);
  t.strictSame(events, ['out e3: 50 % succeeded, 88 % elsewhere']);
  ejector.sweep(2000);
  t.equal(set.out, 1, 'a new interval begins with nothing counted');
});

test('an endpoint that fails is found, costs few requests, and comes back when it is well', async (t) => {
  const backends: Backend[] = [
    { id: 'a' },
    { id: 'b' },
    { id: 'c' },
    { id: 'ill', outcome: (now) => (now < 60_000 ? 'gateway-error' : 'ok') },
  ];
  const run = (ejection: EjectionPolicy | undefined) =>
    simulate({ backends, policy: { balancer: 'round-robin', ejection }, requests: 12_000 });
  const without = run(undefined);
  const guarded = run(DEFAULT_BACKEND_POLICY.ejection);
  t.ok((without.outcomes['gateway-error'] ?? 0) > 1400);
  t.ok(
    (guarded.outcomes['gateway-error'] ?? 0) < 20,
    `${guarded.outcomes['gateway-error']} failed`,
  );
  t.match(guarded.events[0], / out ill: 5 gateway errors in a row/);
  t.match(guarded.events.at(-1), / in ill: answered on probation/);
  t.ok(Math.abs(shareOf({ counts: guarded.lateCounts }, 'ill') - 0.25) < 0.02);
});

test('when everybody fails nobody is left without an answer', async (t) => {
  const backends = Array.from({ length: 4 }, (_, i): Backend => ({
    id: `e${i}`,
    outcome: () => 'connect-failed',
  }));
  const { outcomes, counts } = simulate({ backends, requests: 2000 });
  t.equal(outcomes.none, undefined);
  t.equal(Object.keys(counts).length, 4);
});

test('outcomeOfStatus() and outcomeOfGrpc() blame the server for its own faults alone', async (t) => {
  t.strictSame(
    [200, 404, 429, 500, 501, 502, 503, 504, 505].map(outcomeOfStatus).join(' '),
    'ok ok ok server-error server-error gateway-error gateway-error gateway-error server-error',
  );
  t.strictSame(
    [0, 2, 3, 4, 5, 12, 13, 14, 15, 16].map(outcomeOfGrpc).join(' '),
    'ok server-error ok gateway-error ok ok server-error gateway-error server-error ok',
  );
});

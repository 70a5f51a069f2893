import { test } from 'tap';
import { DEFAULT_BACKEND_POLICY } from '#common/mesh/backend-policy.ts';
import type { RetryPolicy } from '#common/mesh/backend-policy.ts';
import { Circuit } from '../../../waypoint/resilience/circuit.ts';
import { mayRetry, RetryBudget, retryDelay } from '../../../waypoint/resilience/retry.ts';
import type { Attempt, RetryQuestion } from '../../../waypoint/resilience/retry.ts';
import { Shedder } from '../../../waypoint/resilience/shedder.ts';

const POLICY: RetryPolicy = {
  attempts: 2,
  codes: [503],
  backoffMs: 25,
  backoffMaxMs: 100,
  nonIdempotent: false,
};

test('mayRetry() never repeats an effect unless told to', async (t) => {
  const ask = (attempt: Attempt, more: Partial<RetryQuestion> = {}): boolean =>
    mayRetry({ policy: POLICY, method: 'GET', retries: 0, isBodyKept: true, attempt, ...more });
  const status = (code: number): Attempt => ({ kind: 'status', status: code });
  const table: readonly (readonly [name: string, got: boolean, want: boolean])[] = [
    ['a status that is named', ask(status(503)), true],
    ['a status that is not', ask(status(500)), false],
    ['a success', ask(status(200)), false],
    ['a reset of a GET', ask({ kind: 'reset' }), true],
    ['a time-out of a PUT', ask({ kind: 'timeout' }, { method: 'PUT' }), true],
    ['a reset of a POST', ask({ kind: 'reset' }, { method: 'POST' }), false],
    ['a status for a POST', ask(status(503), { method: 'POST' }), false],
    ['a POST that was never sent', ask({ kind: 'not-sent' }, { method: 'POST' }), true],
    [
      'a POST whose author says so',
      ask(status(503), { method: 'POST', policy: { ...POLICY, nonIdempotent: true } }),
      true,
    ],
    ['a body that is gone', ask({ kind: 'not-sent' }, { isBodyKept: false }), false],
    ['the last attempt', ask(status(503), { retries: 1 }), true],
    ['one more than that', ask(status(503), { retries: 2 }), false],
    ['no retries by default', ask(status(503), { policy: DEFAULT_BACKEND_POLICY.retry }), false],
  ];
  for (const [name, got, want] of table) t.equal(got, want, name);
});

test('retryDelay() is never below the back-off, doubles, and is spread by chance', async (t) => {
  const least = [0, 1, 2, 3, 4].map((retries) => retryDelay(POLICY, retries, () => 0));
  const most = [0, 1, 2, 3, 4].map((retries) => retryDelay(POLICY, retries, () => 0.999));
  t.strictSame(least, [25, 50, 100, 100, 100]);
  t.strictSame(most, [49, 99, 199, 199, 199]);
  t.equal(
    retryDelay({ ...POLICY, backoffMs: 500 }, 3, () => 0),
    500,
    'the author’s least counts',
  );
});

test('RetryBudget bounds retries by the requests of the last ten seconds', async (t) => {
  const budget = new RetryBudget({ share: 0.2, minPerSecond: 0 });
  for (let i = 0; i < 100; i += 1) budget.request(1000 + i);
  const taken = Array.from({ length: 50 }, () => budget.take(2000)).filter(Boolean).length;
  t.equal(taken, 20);
  t.notOk(budget.take(10_900), 'the requests still count');
  t.notOk(budget.take(12_000), 'and no more, nor do the retries');
  for (let i = 0; i < 10; i += 1) budget.request(12_000);
  t.ok(budget.take(12_000));
  t.ok(budget.take(12_000));
  t.notOk(budget.take(12_000));
});

test('RetryBudget lets a quiet service retry, and holds when everything fails', async (t) => {
  const quiet = new RetryBudget({ share: 0.2, minPerSecond: 1 });
  t.equal(Array.from({ length: 50 }, () => quiet.take(500_000)).filter(Boolean).length, 10);
  // Every attempt fails and wants two retries: load must stay below 1.2 times the requests.
  const storm = new RetryBudget(DEFAULT_BACKEND_POLICY.budget);
  let [requests, retries] = [0, 0];
  for (let ms = 0; ms < 60_000; ms += 1) {
    storm.request(ms);
    requests += 1;
    for (let i = 0; i < 2; i += 1) if (storm.take(ms)) retries += 1;
  }
  t.ok(retries / requests <= 0.21, `${retries} retries of ${requests} requests`);
  t.ok(retries / requests > 0.18);
});

test('Circuit admits as many as its limits, and takes back what has left', async (t) => {
  const circuit = new Circuit({ connections: 1, pending: 0, requests: 2, retries: 1 });
  t.ok(circuit.enter('requests'));
  t.ok(circuit.enter('requests'));
  t.notOk(circuit.enter('requests'));
  t.notOk(circuit.enter('pending'), 'a limit of 0 admits nobody');
  t.ok(circuit.enter('connections'), 'each kind by itself');
  circuit.leave('requests');
  t.ok(circuit.enter('requests'));
  circuit.limits = { ...circuit.limits, requests: 1 };
  circuit.leave('requests');
  t.notOk(circuit.enter('requests'), 'a smaller limit counts from the next request');
  t.equal(circuit.used('requests'), 1);
  t.throws(() => circuit.leave('retries'), { message: /More retries have left/ });
});

test('Shedder sheds while a queue stands, not for a burst, and stops when it is gone', async (t) => {
  const shedder = new Shedder(0);
  for (let ms = 0; ms < 1000; ms += 10) shedder.observe(ms % 100 === 0 ? 0 : 500, ms);
  t.equal(shedder.share, 0, 'every interval has a moment without lateness');
  for (let ms = 1000; ms < 1600; ms += 10) shedder.observe(50, ms);
  t.ok(shedder.share > 0.3 && shedder.share < 0.7, `${shedder.share}`);
  t.notOk(shedder.admits(0.1));
  t.ok(shedder.admits(0.8));
  for (let ms = 1600; ms < 9000; ms += 10) shedder.observe(500, ms);
  t.equal(shedder.share, 0.9, 'some always pass, so that it can tell');
  for (let ms = 9000; ms < 12_000; ms += 10) shedder.observe(0, ms);
  t.equal(shedder.share, 0);
  t.ok(shedder.admits(0));
});

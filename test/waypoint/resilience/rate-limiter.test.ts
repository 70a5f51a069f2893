import { test } from 'tap';
import { rateLimitHeaders, RateLimiter } from '../../../waypoint/resilience/rate-limiter.ts';
import { randomFrom } from '../../helpers/mesh-random.ts';

test('RateLimiter admits a whole limit at once, then one for each part of the window', async (t) => {
  const limiter = new RateLimiter([{ limit: 5, windowMs: 1000 }]);
  const at = (ms: number): boolean => limiter.take('a', ms).allowed;
  t.strictSame([0, 0, 0, 0, 0, 0].map(at), [true, true, true, true, true, false]);
  t.notOk(at(199));
  t.ok(at(200));
  t.notOk(at(399));
  t.ok(at(400));
  t.strictSame([5000, 5000, 5000, 5000, 5000, 5000].map(at).filter(Boolean).length, 5);
  t.ok(limiter.take('b', 5000).allowed, 'keys do not know each other');
});

test('RateLimiter says what is left and when to come back', async (t) => {
  const limiter = new RateLimiter([{ limit: 2, windowMs: 1000 }]);
  t.match(limiter.take('a', 0), { allowed: true, remaining: 1, resetMs: 500, retryAfterMs: 0 });
  t.match(limiter.take('a', 0), { allowed: true, remaining: 0, resetMs: 1000 });
  const refused = limiter.take('a', 100);
  t.match(refused, { allowed: false, remaining: 0, resetMs: 900, retryAfterMs: 400 });
  t.strictSame(rateLimitHeaders('per caller', refused), [
    ['ratelimit-policy', '"per_caller";q=2;w=1'],
    ['ratelimit', '"per_caller";r=0;t=1'],
    ['retry-after', '1'],
  ]);
  t.equal(rateLimitHeaders('x', limiter.take('b', 0)).length, 2, 'no retry-after when admitted');
  t.ok(limiter.take('a', 500).allowed, 'and then it is admitted');
});

test('RateLimiter with several windows charges all of them or none', async (t) => {
  const limiter = new RateLimiter([
    { limit: 2, windowMs: 1000 },
    { limit: 3, windowMs: 60_000 },
  ]);
  t.ok(limiter.take('a', 0).allowed);
  t.ok(limiter.take('a', 0).allowed);
  t.notOk(limiter.take('a', 0).allowed, 'the second is spent');
  const third = limiter.take('a', 600);
  t.ok(third.allowed, 'the refusal cost nothing in the minute');
  t.equal(third.window.windowMs, 60_000, 'the nearest to its limit is told');
  const refused = limiter.take('a', 2000);
  t.notOk(refused.allowed);
  t.equal(refused.retryAfterMs, 18_000);
});

test('RateLimiter admits the limit on the whole, however the requests come', async (t) => {
  const random = randomFrom(9);
  const limiter = new RateLimiter([{ limit: 100, windowMs: 1000 }]);
  let [at, admitted] = [0, 0];
  while (at < 60_000) {
    at += random() < 0.01 ? random() * 500 : random() * 4;
    if (limiter.take('a', at).allowed) admitted += 1;
  }
  t.ok(admitted <= 6100, `${admitted} of 6,000 and one burst`);
  t.ok(admitted > 5700, `${admitted}`);
});

test('RateLimiter takes costs, limits of nothing, and limits that change', async (t) => {
  const limiter = new RateLimiter([{ limit: 10, windowMs: 1000 }]);
  t.ok(limiter.take('a', 0, 7).allowed);
  t.notOk(limiter.take('a', 0, 7).allowed);
  t.ok(limiter.take('a', 0, 3).allowed);
  const never = limiter.take('b', 0, 11);
  t.notOk(never.allowed, 'more than the whole limit never passes');
  t.equal(never.retryAfterMs, 100);
  limiter.setWindows([{ limit: 0, windowMs: 1000 }]);
  const none = limiter.take('c', 0);
  t.match(none, { allowed: false, remaining: 0, retryAfterMs: 1000 });
  limiter.setWindows([{ limit: 20, windowMs: 1000 }]);
  t.notOk(limiter.take('a', 0).allowed, 'what was spent stays spent');
  t.ok(limiter.take('a', 50).allowed);
  t.throws(() => limiter.setWindows([]), { message: /cannot come or go/ });
});

test('RateLimiter forgets keys that are whole again, and is bounded when none is', async (t) => {
  const limiter = new RateLimiter([{ limit: 10, windowMs: 1000 }]);
  for (let i = 0; i < 65_536; i += 1) limiter.take(`k${i}`, 0);
  t.equal(limiter.size, 65_536);
  limiter.take('one more', 50);
  t.equal(limiter.size, 65_536);
  t.equal(limiter.evicted, 1, 'the one that has not asked for longest, though it was not whole');
  limiter.take('later', 10_000);
  t.ok(limiter.size < 65_536, 'those that are whole go first, several at once');
  t.equal(limiter.evicted, 1);
  for (let i = 0; i < 100_000; i += 1) limiter.take(`n${i}`, 10_001);
  t.ok(limiter.size <= 65_536);
  t.ok(limiter.take('__proto__', 10_001).allowed);
});

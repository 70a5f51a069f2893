import { test } from 'tap';
import { HOLD_BACK_MS, LeaseBook, shareOut } from '../../../common/decide/rate-lease.ts';
import type { Lease } from '../../../common/decide/rate-lease.ts';
import { RateLimiter } from '../../../waypoint/resilience/rate-limiter.ts';
import { randomFrom } from '../../helpers/mesh-random.ts';

const LIMIT = 1000;

test('shareOut() gives nobody more than he asks for while another lacks, and loses nothing', async (t) => {
  const shares = (demands: Readonly<Record<string, number>>): string =>
    Array.from(shareOut(LIMIT, Object.entries(demands)), ([id, n]) => `${id} ${Math.round(n)}`)
      .toSorted()
      .join(', ');
  t.equal(shares({ a: 2000, b: 2000 }), 'a 500, b 500');
  t.equal(shares({ a: 100, b: 5000 }), 'a 100, b 900');
  t.equal(shares({ a: 0, b: 5000 }), 'a 20, b 980', 'a small share for whoever begins to ask');
  t.equal(shares({ a: 100, b: 200 }), 'a 450, b 550', 'what nobody asks for is divided evenly');
  t.equal(shares({ a: 300, b: 300, c: 3000 }), 'a 300, b 300, c 400');
  t.equal(shares({}), '');
  const random = randomFrom(2);
  for (let i = 0; i < 200; i += 1) {
    const demands = Array.from(
      { length: 1 + Math.floor(random() * 8) },
      (_, j) => [`h${j}`, random() * 3 * LIMIT * (random() < 0.3 ? 0 : 1)] as const,
    );
    const sum = [...shareOut(LIMIT, demands).values()].reduce((all, one) => all + one, 0);
    if (Math.abs(sum - LIMIT) > 1e-6) t.fail(`${sum} is given of ${LIMIT}`);
  }
});

/** A waypoint as far as leases go: what it uses, and what it was told last. */
interface Waypoint {
  readonly id: string;
  using: Lease;
  readonly limiter: RateLimiter;
  offered: number;
  admitted: number;
}

function waypoint(id: string): Waypoint {
  return {
    id,
    using: { serial: 0, share: 0 },
    limiter: new RateLimiter([{ limit: 0, windowMs: 1000 }]),
    offered: 0,
    admitted: 0,
  };
}

function use(one: Waypoint, lease: Lease): void {
  one.using = lease;
  one.limiter.setWindows([{ limit: lease.share, windowMs: 1000 }]);
}

test('four waypoints with one limit admit it within 5 %, with three times as much offered unevenly', async (t) => {
  const random = randomFrom(4);
  const book = new LeaseBook(LIMIT, [], 0);
  const all = ['a', 'b', 'c', 'd'].map(waypoint);
  const rates = [1800, 900, 270, 30];
  const run = (fromMs: number, toMs: number, hasController: boolean): number => {
    const before = all.reduce((sum, { admitted }) => sum + admitted, 0);
    for (let ms = fromMs; ms < toMs; ms += 1) {
      for (const [i, one] of all.entries()) {
        if (random() * 1000 < (rates[i] ?? 0)) {
          one.offered += 1;
          if (one.limiter.take('', ms).allowed) one.admitted += 1;
          if (random() * 1000 < (rates[i] ?? 0) - 1000) {
            one.offered += 1;
            if (one.limiter.take('', ms).allowed) one.admitted += 1;
          }
        }
        if (!hasController || (ms + i * 130) % 500 !== 0) continue;
        use(one, book.report(one.id, { demand: one.offered * 2, using: one.using }, ms));
        one.offered = 0;
        t.ok(book.held <= LIMIT + 1e-6, 'never more than the limit is held');
      }
    }
    const after = all.reduce((sum, { admitted }) => sum + admitted, 0);
    return ((after - before) / (toMs - fromMs)) * 1000;
  };
  run(0, 5000, true);
  const rate = run(5000, 35_000, true);
  t.ok(Math.abs(rate - LIMIT) <= LIMIT * 0.05, `${rate} a second`);
  rates.reverse();
  run(35_000, 38_000, true);
  const shifted = run(38_000, 60_000, true);
  t.ok(Math.abs(shifted - LIMIT) <= LIMIT * 0.05, `${shifted} a second after the load has moved`);
  const alone = run(60_000, 90_000, false);
  t.ok(alone <= LIMIT * 1.05, `${alone} a second without the controller`);
  t.ok(alone >= LIMIT * 0.9);
});

test('LeaseBook gives what one gives back only once it has said so', async (t) => {
  const book = new LeaseBook(LIMIT, [], 0);
  const none: Lease = { serial: 0, share: 0 };
  const a = book.report('a', { demand: 2000, using: none }, 0);
  t.equal(Math.round(a.share), LIMIT);
  const b = book.report('b', { demand: 2000, using: none }, 10);
  t.equal(b.share, 0, 'everything is still in use');
  const less = book.report('a', { demand: 2000, using: a }, 20);
  t.equal(less.share, 500);
  t.equal(book.report('b', { demand: 2000, using: b }, 30).share, 0, 'it has not said so yet');
  book.report('a', { demand: 2000, using: less }, 40);
  t.equal(book.report('b', { demand: 2000, using: b }, 50).share, 500);
  t.equal(book.held, LIMIT);
});

test('LeaseBook keeps the share of who is not heard of, and then gives it to the others', async (t) => {
  const book = new LeaseBook(LIMIT, [], 0);
  const none: Lease = { serial: 0, share: 0 };
  let a = book.report('a', { demand: 600, using: none }, 0);
  let b = book.report('b', { demand: 600, using: none }, 0);
  for (let ms = 0; ms < 5000; ms += 500) {
    a = book.report('a', { demand: 600, using: a }, ms);
    b = book.report('b', { demand: 600, using: b }, ms);
  }
  t.equal(a.share + b.share, LIMIT);
  const gone = 4500;
  for (let ms = 5000; ms < gone + HOLD_BACK_MS; ms += 500) {
    b = book.report('b', { demand: 2000, using: b }, ms);
  }
  t.equal(Math.round(b.share), 500, 'not yet');
  b = book.report('b', { demand: 2000, using: b }, gone + HOLD_BACK_MS);
  t.equal(Math.round(b.share), LIMIT);
});

test('LeaseBook of a new controller lets nothing grow before it has heard of all shares in use', async (t) => {
  const book = new LeaseBook(LIMIT, ['a', 'b'], 0);
  const inUse = { a: { serial: 7, share: 800 }, b: { serial: 9, share: 200 } };
  const b = book.report('b', { demand: 900, using: inUse.b }, 0);
  t.strictSame(b, inUse.b, 'a may be using the rest');
  const a = book.report('a', { demand: 100, using: inUse.a }, 100);
  t.ok(a.share < 300 && a.serial > 7, `${a.share}`);
  book.report('a', { demand: 100, using: a }, 200);
  t.ok(book.report('b', { demand: 900, using: b }, 300).share > 700);
  t.ok(book.held <= LIMIT);
  const late = new LeaseBook(LIMIT, ['gone', 'b'], 0);
  t.equal(late.report('b', { demand: 900, using: inUse.b }, HOLD_BACK_MS - 1).share, 200);
  t.ok(late.report('b', { demand: 900, using: inUse.b }, HOLD_BACK_MS).share > 900);
});

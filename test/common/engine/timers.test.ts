/** The timer wheel, with a clock that the test turns. */
import { test } from 'tap';
import { TICK_MS, TimerWheel } from '#common/engine/timers.ts';
import type { Task } from '#common/engine/timers.ts';

const run = (task: Task): void => task.run();

test('TimerWheel.advance() fires never early, and at most one tick late', async (t) => {
  for (const start of [0, 7, 49, 50, 12_345]) {
    for (const ms of [0, 1, 49, 50, 51, 999, 25_600, 25_601, 60_000, 3_600_000]) {
      const wheel = new TimerWheel(start, run);
      const fired: number[] = [];
      let now = start;
      wheel.after(ms, { run: () => fired.push(now) });
      while (fired.length === 0) wheel.advance((now += 10));
      const late = (fired[0] ?? 0) - start - ms;
      t.ok(late >= 0 && late <= TICK_MS + 10, `${ms} ms from ${start}: ${late} ms late`);
      t.equal(wheel.armed, 0);
    }
  }
});

test('TimerWheel.advance() fires all that a long sleep has missed, once', async (t) => {
  const wheel = new TimerWheel(0, run);
  let fired = 0;
  for (let i = 0; i < 1000; i += 1) wheel.after(i * 97, { run: () => (fired += 1) });
  wheel.advance(10_000_000);
  wheel.advance(20_000_000);
  t.equal(fired, 1000);
});

test('TimerWheel.cancel() holds even between two timers of one tick', async (t) => {
  const wheel = new TimerWheel(0, run);
  const fired: string[] = [];
  wheel.after(10, {
    run: () => {
      fired.push('first');
      wheel.cancel(second);
    },
  });
  const second = wheel.after(10, { run: () => fired.push('second') });
  wheel.after(10, { run: () => fired.push('third') });
  wheel.advance(1000);
  t.strictSame(fired, ['first', 'third']);
  wheel.cancel(second);
  t.equal(wheel.armed, 0);
});

test('TimerWheel.rearm() moves a timer, also from its own task', async (t) => {
  const wheel = new TimerWheel(0, run);
  const at: number[] = [];
  let now = 0;
  const timer = wheel.after(100, {
    run: () => {
      at.push(now);
      if (at.length < 3) wheel.rearm(timer, 200);
    },
  });
  wheel.rearm(timer, 500);
  for (now = 0; now <= 2000; now += TICK_MS) wheel.advance(now);
  t.strictSame(at, [500, 700, 900]);
});

test('TimerWheel.untilNext() never sleeps past a timer', async (t) => {
  const wheel = new TimerWheel(3, run);
  t.equal(wheel.untilNext(1000), 1000);
  const fired: number[] = [];
  wheel.after(320, { run: () => fired.push(1) });
  let now = 3;
  for (let turns = 0; turns < 20 && fired.length === 0; turns += 1) {
    const wait = wheel.untilNext(1000);
    t.ok(wait > 0 && now + wait <= 3 + 320 + TICK_MS, `waits ${wait} ms`);
    now += wait;
    wheel.advance(now);
  }
  t.equal(fired.length, 1);
});

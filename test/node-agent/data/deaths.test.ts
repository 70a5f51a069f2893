/** How soon a dead worker is started again. */
import { test } from 'tap';
import { Deaths, DEATHS_MINUTE_MS, RESTART_PAUSE_MS } from '../../../node-agent/data/deaths.ts';

test('note() starts at once until the third death within a minute', async (t) => {
  const deaths = new Deaths();
  const now = { pauseMs: 0, isRepeated: false };
  t.strictSame(deaths.note(0), now);
  t.strictSame(deaths.note(1), now);
  const again = { pauseMs: RESTART_PAUSE_MS, isRepeated: true };
  t.strictSame(deaths.note(DEATHS_MINUTE_MS - 1), again);
  t.strictSame(deaths.note(DEATHS_MINUTE_MS), again, 'two more lie within the minute before');
  t.equal(deaths.count, 4);
});

test('deaths that lie a minute apart are accidents', async (t) => {
  const deaths = new Deaths();
  for (let i = 0; i < 10; i += 1) {
    t.equal(deaths.note(i * (DEATHS_MINUTE_MS / 2)).isRepeated, false);
  }
  t.notOk(deaths.isQuiet(10 * (DEATHS_MINUTE_MS / 2)));
  t.ok(deaths.isQuiet(12 * (DEATHS_MINUTE_MS / 2)));
});

import { test, type Test } from 'tap';
import { Chore, type ChoreOptions } from '../../../controller/lead/chore.ts';
import { eventually } from '../../helpers/control-rig.ts';
import { silent } from '../../helpers/silent-log.ts';

const HOUR = 3_600_000;

async function start(t: Test, over: Partial<ChoreOptions> = {}) {
  let runs = 0;
  const chore = new Chore({
    name: 'test',
    log: silent,
    everyMs: HOUR,
    work: async () => void (runs += 1),
    ...over,
  });
  t.teardown(async () => chore.stop());
  await chore.start();
  return { chore, runs: () => runs };
}

test('Chore runs at once, then by itself, then when it is asked to', async (t) => {
  const { runs } = await start(t, { everyMs: 20 });
  await eventually(() => runs() >= 3, 'again and again');
  const slow = await start(t);
  await eventually(() => slow.runs() === 1, 'at once');
  slow.chore.wake();
  slow.chore.wake();
  await eventually(() => slow.runs() === 2, 'asked');
});

test('Chore never runs twice at a time, and does afterwards what was asked meanwhile', async (t) => {
  let [running, most, runs] = [0, 0, 0];
  const release: (() => void)[] = [];
  const { chore } = await start(t, {
    work: async () => {
      running += 1;
      runs += 1;
      most = Math.max(most, running);
      await new Promise<void>((resolve) => release.push(resolve));
      running -= 1;
    },
  });
  await eventually(() => runs === 1, 'the first');
  chore.wake();
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.equal(runs, 1);
  release.shift()?.();
  await eventually(() => runs === 2, 'the second');
  release.shift()?.();
  t.equal(most, 1);
});

test('Chore is not done by a replica that may not, and tries again after a failure', async (t) => {
  let [mayRun, attempts] = [false, 0];
  await start(t, {
    everyMs: 20,
    mayRun: () => mayRun,
    work: async () => {
      attempts += 1;
      if (attempts === 1) throw new Error('away');
    },
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(attempts, 0);
  mayRun = true;
  await eventually(() => attempts >= 3, 'again after the failure', 15_000);
});

/**
 * R11: the clock of one agent is wrong by an hour or a day, and jumps while it runs.
 *
 * Needs libfaketime (Debian: faketime), which the test line does not install.
 */
import { globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { ms, msUntil } from './measure.ts';
import { judge, type Result, type Scenario, undoing } from './scenario.ts';
import { ACROSS, World } from './world.ts';

const HOUR_S = 3600;
/** Certificates live a day: beyond that, one side or the other must take the other's for wrong. */
const JUMPS: readonly (readonly [string, number])[] = [
  ['an hour ahead', HOUR_S],
  ['an hour behind', -HOUR_S],
  ['25 hours ahead', 25 * HOUR_S],
  ['25 hours behind', -25 * HOUR_S],
];

export const scenario: Scenario = {
  name: 'clock-moved',
  title: 'R11: the clock of one agent jumps by hours and back; no crash, and it recovers',
  run: async ({ quick, prefix = 'fltclock' }): Promise<Result> => {
    const [library] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1');
    if (library === undefined)
      return { figures: { 'not run': 'libfaketime is not installed' }, passed: true };
    return undoing(async (undo) => {
      const directory = mkdtempSync('/dev/shm/plumb-clock-');
      undo.after(() => rmSync(directory, { recursive: true, force: true }));
      const set = (seconds: number): void =>
        writeFileSync(`${directory}/clock`, `${seconds >= 0 ? '+' : ''}${seconds}`);
      set(0);
      const world = await World.start(undo, prefix, {
        agentEnv: (node): Readonly<Record<string, string>> =>
          node === 1
            ? {
                LD_PRELOAD: library,
                FAKETIME_TIMESTAMP_FILE: `${directory}/clock`,
                FAKETIME_NO_CACHE: '1',
                FAKETIME_DONT_FAKE_MONOTONIC: '1',
              }
            : {},
        load: { fresh: { perSecond: 50, pairs: ACROSS } },
      });
      const { pid } = world.mesh.agent(1);
      const figures: Record<string, string> = {};
      const marks: Record<string, boolean> = {};
      for (const [what, seconds] of JUMPS) {
        set(seconds);
        const { fresh, freshFailed } = await world.during(quick ? 1500 : 40_000);
        set(0);
        // A certificate that was renewed under the wrong clock is still good: lives are absolute.
        const back = await msUntil(async () => {
          const after = await world.during(500);
          return after.fresh > 0 && after.freshFailed === 0;
        }, 90_000);
        figures[`${what}: new connections, failed, well again after`] =
          `${fresh}, ${freshFailed}, ${ms(back)}`;
        marks[`${what}: it recovers without a restart`] = back !== Infinity;
        if (Math.abs(seconds) === HOUR_S && seconds > 0)
          marks[`${what}: nothing fails`] = freshFailed === 0;
      }
      marks['the agent has not ended'] = world.mesh.agent(1).pid === pid && isAlive(pid);
      const held = await world.held();
      return judge({
        figures: { ...figures, ...held.figures },
        marks: { ...marks, ...held.marks },
      });
    });
  },
};

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

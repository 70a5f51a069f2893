/**
 * The short form of `npm run attacks`: every flood of HTTP/2 against the agent of a pod, half a second
 * each. The victim's rate is judged by the long form, on a machine that has nothing else to do.
 */
import { test } from 'tap';
import { Battle, faults, floodsNamed, percent } from '../attacks/run.ts';
import { needsRoot as skip } from '../helpers/netns.ts';

const MARKS = { ratio: 0.05, cutMs: 5000, grownMb: 50 };
const EACH_MS = 400;

test('floods of HTTP/2 are cut off and harm nobody else', { skip }, async (t) => {
  const floods = floodsNamed(undefined);
  const battle = await Battle.start(t, floods.length);
  for (const flood of floods) {
    const found = await battle.run(flood, EACH_MS);
    const longest = found.longestMs === undefined ? 'not cut' : `cut after ${found.longestMs} ms`;
    t.strictSame(
      faults(flood, found, MARKS),
      [],
      `${flood.name}: ${percent(found.ratio)} kept, ${longest}, ${found.grownMb} MB`,
    );
  }
});

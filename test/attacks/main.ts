/**
 * Floods of HTTP/2 with the victim's rate measured: `npm run attacks -- [--only NAME,NAME]
 * [--quick] [--seconds N]`; root.
 *
 * Each flood lasts 60 s (`--quick`: 2 s, which a first burst fills to a good part) against the agent of a pod. Pass: its other client keeps 90 %
 * of its rate and loses no connection, an attacker who breaks the rules is cut off within 5 s, and the
 * agent grows by less than 50 MB. Prints a table; the exit code is 1 when a flood does not pass.
 */
import { parseArgs } from 'node:util';
import { Battle, faults, floodsNamed, percent } from './run.ts';

const MARKS = { ratio: 0.9, cutMs: 5000, grownMb: 50 };

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
  },
});
const floods = floodsNamed(values.only);
if (floods.length === 0) throw new RangeError(`no flood "${values.only}"`);
const undo: (() => void | Promise<void>)[] = [];
try {
  const battle = await Battle.start({ after: (one) => void undo.push(one) }, floods.length);
  const ms = Number(values.seconds ?? (values.quick ? 2 : 60)) * 1000;
  console.log('| flood | round trips/s | kept | attacks | longest | agent grew | |');
  console.log('| --- | --: | --: | --: | --: | --: | --- |');
  for (const flood of floods) {
    const found = await battle.run(flood, ms);
    const wrong = faults(flood, found, MARKS);
    const longest = found.longestMs === undefined ? 'not cut' : `${found.longestMs} ms`;
    console.log(
      `| ${found.flood} | ${found.rate} | ${percent(found.ratio)} | ${found.attacks} | ${longest} | ` +
        `${found.grownMb} MB | ${wrong.length === 0 ? 'ok' : wrong.join('; ')} |`,
    );
    if (wrong.length > 0) process.exitCode = 1;
  }
} finally {
  for (const one of undo.toReversed()) await one();
}
process.exit();

/**
 * `npm run soak -- --hours N` (or `--minutes N`, `--json FILE`): load, churn, rotation, replacement and
 * faults mixed on a real mesh; ends with slopes per process and a verdict, and 1 if it does not hold.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { soak, story } from './run.ts';
import { table } from './slope.ts';

const { values: flags } = parseArgs({
  options: {
    hours: { type: 'string' },
    minutes: { type: 'string' },
    json: { type: 'string' },
  },
});
const minutes = flags.minutes === undefined ? 60 * Number(flags.hours ?? 1) : Number(flags.minutes);
if (!(minutes > 0)) throw new RangeError('expected --hours N or --minutes N');

const undos: (() => void | Promise<void>)[] = [];
async function undoAll(): Promise<void> {
  for (const undo of undos.splice(0).toReversed()) await undo();
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void undoAll().then(() => process.exit(130));
  });
}

try {
  const report = await soak({
    minutes,
    tell: (line) => console.error(line),
    after: (undo) => void undos.push(undo),
  });
  const date = new Date().toISOString().slice(0, 10);
  console.log(`${date}, ${minutes} minutes\n\n${table(report.findings)}\n\n${story(report)}\n`);
  for (const { process: of, notes } of report.findings)
    for (const note of notes) console.log(`${of}: ${note}`);
  for (const failure of report.failures) console.log(`FAILS: ${failure}`);
  console.log(report.failures.length === 0 ? 'VERDICT: holds' : 'VERDICT: does not hold');
  if (flags.json !== undefined) {
    const { findings, failures, steps, samples } = report;
    const broken = Object.fromEntries(report.ledger.byCause);
    const content = {
      date,
      minutes,
      findings,
      failures,
      steps: Object.fromEntries(steps),
      broken,
      samples,
    };
    writeFileSync(flags.json, `${JSON.stringify(content, null, 1)}\n`);
  }
  process.exitCode = report.failures.length === 0 ? 0 : 1;
} finally {
  await undoAll();
}

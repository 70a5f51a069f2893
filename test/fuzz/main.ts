/**
 * Fuzzes the decoders: `npm run fuzz -- [--cases N] [--only NAME] [--seed S] [--save]`.
 *
 * The saved corpus of each comes first, then N cases (1,000,000) that depend on the seed alone. An
 * input that fails is kept in the corpus and named; the exit code is 1 then. With `--save` those that
 * reached something new are kept as well.
 */
import { parseArgs } from 'node:util';
import { DECODERS } from './decoders/index.ts';
import { costOf, readCorpus, runDecoder, saveInput } from './runner.ts';

/** A corpus is read by people too. */
const MOST_SAVED = 32;

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '1000000' },
    only: { type: 'string' },
    seed: { type: 'string', default: '1' },
    save: { type: 'boolean', default: false },
  },
});

const chosen = DECODERS.filter(({ name }) => values.only === undefined || name === values.only);
if (chosen.length === 0) {
  const names = DECODERS.map(({ name }) => name).join(', ');
  console.error(`no decoder "${values.only}"; there are ${names}`);
  process.exit(2);
}
for (const decoder of chosen) {
  const { name } = decoder;
  const options = { cases: Number(values.cases), seed: Number(values.seed) };
  const report = runDecoder(decoder, { ...options, corpus: readCorpus(name) });
  console.log(
    `${name}: ${report.replayed} replayed, ${report.cases} cases, ${mb(report.bytes)} MB, ` +
      `${report.read} read, ${report.outcomes} outcomes, ${report.failures.length} failed; ` +
      `${report.seconds.toFixed(1)} s, median ${report.medianUs.toFixed(1)} us, ` +
      `worst ${report.worstMs.toFixed(2)} ms, ${mb(report.leftBytes)} MB stay`,
  );
  for (const [what, input] of Object.entries(decoder.costly ?? {})) {
    const ms = costOf(decoder, input, 20) / Math.max(1, input.length / 65_536);
    console.log(`  ${what}: ${ms.toFixed(3)} ms for ${input.length} bytes`);
  }
  if (values.save)
    for (const input of report.found.slice(0, MOST_SAVED)) saveInput(name, 'found', input);
  for (const { what, input } of report.failures) {
    const kept = input.length === 0 ? '' : saveInput(name, 'failed', input);
    console.log(`  FAILED ${kept}: ${what}`);
    process.exitCode = 1;
  }
}

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

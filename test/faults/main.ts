/**
 * Runs the fault scenarios one after another, and prints the figures and the mark of each.
 *
 *   npm run faults -- [--only NAME,NAME] [--quick] [--list]
 *
 * The exit code is 1 when one does not hold, 2 when a name is none of them.
 */
import { existsSync } from 'node:fs';
import { inspect, parseArgs } from 'node:util';
import { needsRoot } from '../helpers/netns.ts';
import type { Result, Scenario } from './scenario.ts';

/** In this order; each is a file of that name beside this one. */
const NAMES = [
  'agent-killed',
  'agent-replaced',
  'handover',
  'peer-frozen',
  'capture-damaged',
  'enrolment',
  'controller-away',
  'control-half-open',
  'certificate-expiry',
  'root-rotated',
  'peer-vanished',
  'half-close',
  'slow-reader',
  'connection-spike',
  'descriptors-out',
  'disk-full',
  'worker-killed',
  'address-reuse',
  'pod-churn',
  'idle-connections',
  'memory-limited',
  'cpu-limited',
  'lossy-link',
  'version-skew',
  'ipv6-only',
  'clock-moved',
  'reconnect-storm',
  'dns-upstream',
] as const;

async function load(name: string): Promise<Scenario | undefined> {
  const file = new URL(`${name}.ts`, import.meta.url);
  if (!existsSync(file)) return undefined;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every file of the list exports one
  return ((await import(file.href)) as { readonly scenario: Scenario }).scenario;
}

async function run(scenario: Scenario, quick: boolean): Promise<Result> {
  try {
    return await scenario.run({ quick });
  } catch (error) {
    const why = inspect(error);
    return { figures: {}, passed: false, why };
  }
}

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
});
const asked = flags.only?.split(',') ?? NAMES;
const unknown = asked.filter((name) => !NAMES.some((known) => known === name));
if (unknown.length > 0) {
  process.stderr.write(`no scenario "${unknown.join('", "')}"; there are ${NAMES.join(', ')}\n`);
  process.exit(2);
}
if (!flags.list && needsRoot !== false) {
  process.stderr.write(`${needsRoot}\n`);
  process.exit(2);
}
const failures: string[] = [];
let ran = 0;
for (const name of asked) {
  const scenario = await load(name);
  if (scenario === undefined) {
    process.stdout.write(`${name}: not built yet\n`);
    continue;
  }
  process.stdout.write(`${name}: ${scenario.title}\n`);
  if (flags.list) continue;
  ran += 1;
  const startedAt = performance.now();
  const { figures, passed, why } = await run(scenario, flags.quick);
  for (const [what, figure] of Object.entries(figures)) {
    process.stdout.write(`  ${what.padEnd(50)} ${figure}\n`);
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  process.stdout.write(`  ${passed ? 'passed' : `FAILED: ${why ?? ''}`} (${seconds} s)\n\n`);
  if (!passed) failures.push(name);
}
if (!flags.list) {
  const all = `${ran - failures.length} of ${ran} hold`;
  process.stdout.write(
    failures.length === 0 ? `${all}\n` : `${all}; not: ${failures.join(', ')}\n`,
  );
}
process.exit(failures.length === 0 ? 0 : 1);

/**
 * `npm run bench:watch`: what it costs to ask 200 captured pods twice a second whether anything changed.
 *
 * Real namespaces with the rules of a plain pod, IPv4 and IPv6, in both flavours of iptables. Counted
 * is the CPU of this process from the first question of a turn to its last, in turns half a second
 * apart as an agent makes them, so that the caches are as cold as in life. Needs root.
 *
 * Flags: --pods N (200), --seconds S (30), --flavour nft|legacy (both), --dns, --check (exit code 1
 * above the bar).
 */
import { parseArgs } from 'node:util';
import { findPrograms, type Flavour } from '../../node-agent/capture/backend.ts';
import { LOOK_EVERY_MS } from '../../node-agent/capture/capture-set.ts';
import { Capture } from '../../node-agent/capture/capture.ts';
import { createCommand } from '../../node-agent/capture/command.ts';
import { CaptureWatch, watchedTables } from '../../node-agent/capture/watch.ts';
import { PLAIN } from '../helpers/capture-golden.ts';
import { createNet } from '../helpers/netns.ts';
import { silent } from '../helpers/silent-log.ts';

/** Of one core. */
const BAR_PERCENT = 2;
const AT_ONCE = 4;
const WARM_TURNS = 20;

const { values: flags } = parseArgs({
  options: {
    pods: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '30' },
    flavour: { type: 'string' },
    dns: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  },
});
const options = { ...PLAIN, dnsCapture: flags.dns };
const command = createCommand();

/** Captures that many pods and returns what watches them. */
async function capture(
  flavour: Flavour,
  undo: { after(step: () => void | Promise<void>): void },
): Promise<readonly CaptureWatch[]> {
  const programs = new Map([...(await findPrograms(command))].filter(([name]) => name === flavour));
  const node = createNet(undo, 'benchwatch', 1).node(1);
  const pods = Array.from({ length: Number(flags.pods) }, (_, i) => node.pod(`pod-${i}`));
  const left = pods.values();
  const work = Array.from({ length: AT_ONCE }, async () => {
    for (const { fd: netns } of left) {
      await new Capture({ command, programs, log: silent, netns }, options).enrol(() => {});
    }
  });
  await Promise.all(work);
  return pods.map(
    ({ fd: netns }) =>
      new CaptureWatch({ netns, flavour, families: [4, 6], tables: watchedTables(options) }),
  );
}

/** The CPU of one turn in microseconds, and how many pods said that something changed. */
function turn(watches: readonly CaptureWatch[]): {
  readonly micros: number;
  readonly changes: number;
} {
  const start = process.cpuUsage();
  const changes = watches.filter((watch) => watch.changed()).length;
  const { user, system } = process.cpuUsage(start);
  return { micros: user + system, changes };
}

async function measure(flavour: Flavour): Promise<number> {
  const undo: (() => void | Promise<void>)[] = [];
  try {
    const watches = await capture(flavour, { after: (step) => undo.push(step) });
    undo.push(() => watches.forEach((watch) => watch.close()));
    for (let i = 0; i < WARM_TURNS; i += 1) turn(watches);
    const turns = Math.ceil((Number(flags.seconds) * 1000) / LOOK_EVERY_MS);
    let micros = 0;
    let changes = 0;
    for (let i = 0; i < turns; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      const one = turn(watches);
      micros += one.micros;
      changes += one.changes;
    }
    const question = micros / turns / watches.length;
    const percent = micros / turns / LOOK_EVERY_MS / 10;
    process.stdout.write(
      `${flavour}: ${watches.length} pods, ${turns} turns, ${question.toFixed(1)} us a question, ` +
        `${percent.toFixed(2)} % of a core, ${changes} false alarms\n`,
    );
    return percent;
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

const flavours = (['nft', 'legacy'] as const).filter((name) => (flags.flavour ?? name) === name);
for (const flavour of flavours) {
  if ((await measure(flavour)) > BAR_PERCENT && flags.check) process.exitCode = 1;
}

/**
 * `npm run bench`: Plumbline beside HAProxy, nginx and Envoy on one machine, alternating.
 *
 * Medians and spreads are over rounds. Needs root, gcc, openssl, and what is to be compared: a peer
 * that is not installed is named and left out.
 *
 * Flags: --rounds N (5), --seconds S (3), --cases a,b, --subjects a,b, --json FILE, --peer FILE (again
 * for more), --quick (one round of 1 s a case, those with a target, in 50 s; marked as such).
 */
import { cpus, release } from 'node:os';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { CASES } from './cases.ts';
import { benchL7 } from './l7/main.ts';
import { makePki } from './pki.ts';
import { plumbline } from './plumbline.ts';
import { measureAll } from './rounds.ts';
import { direct, peerFrom, peers, type Subject } from './subject.ts';
import { jsonRows, markdown, summarize } from './table.ts';
import { removeWorld, run } from './world.ts';

/** When a quick run begins nothing new, so that it has ended after 50 s. */
const QUICK_BUDGET_MS = 44_000;

const { values: flags } = parseArgs({
  // Another bench reads its own.
  args: process.argv[2] === 'l7' ? [] : process.argv.slice(2),
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    cases: { type: 'string' },
    subjects: { type: 'string' },
    json: { type: 'string' },
    peer: { type: 'string', multiple: true, default: [] },
    quick: { type: 'boolean', default: false },
  },
});

function choose<T extends { readonly name: string }>(
  all: readonly T[],
  names: string | undefined,
): readonly T[] {
  if (names === undefined) return all;
  return names.split(',').map((name) => {
    const found = all.find((one) => one.name === name);
    if (found === undefined)
      throw new Error(`no "${name}"; there are ${all.map((one) => one.name).join(', ')}`);
    return found;
  });
}

async function main(): Promise<void> {
  const rounds = flags.quick ? 1 : Number(flags.rounds);
  const options = {
    seconds: flags.quick ? 1 : Number(flags.seconds),
    warmSeconds: flags.quick ? 0.2 : 0.7,
  };
  const judges = await peers();
  const beside = await Promise.all(flags.peer.map(peerFrom));
  // The direct path is no peer; a quick run has no time for it.
  const all = [...(flags.quick ? [] : [direct]), plumbline, ...judges, ...beside];
  const subjects = choose(all, flags.subjects).filter(isThere);
  const cases = choose(
    CASES.filter((one) => !flags.quick || one.quick === true || flags.cases !== undefined),
    flags.cases,
  );
  const directory = mkdtempSync('/tmp/plumb-bench-');
  const binary = `${directory}/load`;
  run('gcc', '-O2', '-o', binary, fileURLToPath(new URL('load.c', import.meta.url)));
  makePki(`${directory}/pki`);
  try {
    const results = await measureAll({
      cases,
      subjects,
      ours: plumbline.name,
      rounds,
      directory,
      options: { ...options, binary },
      deadline: flags.quick ? QUICK_BUDGET_MS : Number.POSITIVE_INFINITY,
    });
    const sides = { ours: plumbline.name, peers: judges.map(({ name }) => name) };
    const rows = summarize(results, cases, sides);
    console.log(`${heading(rounds, options.seconds)}\n\n${markdown(rows, cases)}`);
    if (flags.json !== undefined)
      writeFileSync(flags.json, `${JSON.stringify(jsonRows(rows), null, 1)}\n`);
  } finally {
    removeWorld();
    rmSync(directory, { recursive: true });
  }
}

function isThere(subject: Subject): boolean {
  if (subject.missing !== undefined) console.error(`without ${subject.name}: ${subject.missing}`);
  return subject.missing === undefined;
}

function heading(rounds: number, seconds: number): string {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, Linux ${release()}, Node ${process.version}`;
  const quick = flags.quick ? ' (quick: one short round, for the shape only)' : '';
  return `${new Date().toISOString().slice(0, 10)}, ${machine}; ${rounds} rounds of ${seconds} s${quick}; median (least-most)`;
}

const [what, ...rest] = process.argv.slice(2);
if (what === 'l7') await benchL7(rest);
else await main();

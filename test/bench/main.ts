/**
 * `npm run bench`: Plumbline beside HAProxy, nginx and Envoy on one machine, alternating.
 *
 * Each round measures every subject once per case, in turn, so that a machine that drifts treats all
 * alike; medians and spreads are over rounds. Needs root, gcc, openssl, and what is to be compared:
 * a peer that is not installed is named and left out.
 *
 * Flags: --rounds N (5), --seconds S (3), --cases a,b, --subjects a,b, --json FILE, --quick (one round
 * of 1 s, marked as such).
 */
import { cpus, release } from 'node:os';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { CASES, type BenchCase } from './cases.ts';
import { measure } from './load.ts';
import { makePki } from './pki.ts';
import { plumbline } from './plumbline.ts';
import { direct, ended, inNamespace, listening, APP_PORT, PEERS, type Subject } from './subject.ts';
import { markdown, summarize, type Result } from './table.ts';
import { makeWorld, removeWorld, run, SERVER } from './world.ts';

const OURS = plumbline.name;

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    cases: { type: 'string' },
    subjects: { type: 'string' },
    json: { type: 'string' },
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
    warmSeconds: flags.quick ? 0.3 : 0.7,
  };
  const cases = choose(CASES, flags.cases);
  const subjects = choose([direct, ...PEERS, plumbline], flags.subjects).filter(isThere);
  const directory = mkdtempSync('/tmp/plumb-bench-');
  const binary = `${directory}/load`;
  run('gcc', '-O2', '-o', binary, fileURLToPath(new URL('load.c', import.meta.url)));
  makePki(`${directory}/pki`);
  try {
    const plan = { cases, subjects, rounds, directory, options: { ...options, binary } };
    const results = await measureAll(plan);
    const rows = summarize(results, cases, OURS);
    console.log(`${heading(rounds, options.seconds)}\n\n${markdown(rows, cases)}`);
    if (flags.json !== undefined) {
      const list = rows.map(({ case: name, metric, ...row }) => ({
        case: `${name}.${metric}`,
        ...row,
      }));
      writeFileSync(flags.json, `${JSON.stringify(list, null, 1)}\n`);
    }
  } finally {
    removeWorld();
    rmSync(directory, { recursive: true });
  }
}

function isThere(subject: Subject): boolean {
  if (subject.missing !== undefined) console.error(`without ${subject.name}: ${subject.missing}`);
  return subject.missing === undefined;
}

interface Plan {
  readonly cases: readonly BenchCase[];
  readonly subjects: readonly Subject[];
  readonly rounds: number;
  readonly directory: string;
  readonly options: {
    readonly binary: string;
    readonly seconds: number;
    readonly warmSeconds: number;
  };
}

/**
 * One subject at a time is up, so that none takes memory or CPU from another, each in namespaces of its
 * own: what one leaves behind (our rules stay when an agent ends) must not meet the next.
 */
async function measureAll({
  cases,
  subjects,
  rounds,
  directory,
  options,
}: Plan): Promise<Result[]> {
  const results: Result[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const subject of subjects) {
      makeWorld();
      const command = [options.binary, 'serve', '-p', String(APP_PORT)];
      const server = inNamespace(SERVER, command, `${directory}/server.log`);
      await listening(SERVER, APP_PORT);
      const running = await subject.start(directory);
      try {
        for (const one of cases) {
          if (subject === direct && one.args[0] === 'conns') continue;
          const result = attempt(() => measure(one, running, options));
          results.push({ case: one.name, subject: subject.name, round, ...result });
          console.error(
            `round ${round + 1}/${rounds} ${subject.name} ${one.name} ${JSON.stringify(result)}`,
          );
        }
      } finally {
        await running.stop();
        await ended(server);
      }
    }
  }
  return results;
}

function attempt(work: () => Record<string, number>): Pick<Result, 'figures' | 'error'> {
  try {
    return { figures: work() };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

function heading(rounds: number, seconds: number): string {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, Linux ${release()}, Node ${process.version}`;
  const quick = flags.quick ? ' (quick: one short round, for the shape only)' : '';
  return `${new Date().toISOString().slice(0, 10)}, ${machine}; ${rounds} rounds of ${seconds} s${quick}; median (least-most)`;
}

await main();

/**
 * The rounds of the bench: each measures every subject once per case, in turn, so that a machine that
 * drifts treats all alike.
 *
 * One subject at a time is up, so that none takes memory or CPU from another, each in namespaces of
 * its own: what one leaves behind (our rules stay when an agent ends) must not meet the next.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchCase } from './cases.ts';
import { measure, type LoadOptions } from './load.ts';
import { residentKb } from './processes.ts';
import { APP_PORT, direct, ended, inNamespace, listening, type Subject } from './subject.ts';
import type { Result } from './table.ts';
import { makeWorld, SERVER } from './world.ts';

const SETTLE_MS = 1000;

export interface Plan {
  readonly cases: readonly BenchCase[];
  readonly subjects: readonly Subject[];
  readonly ours: string;
  readonly rounds: number;
  readonly directory: string;
  readonly options: LoadOptions;
  /** Nothing is begun after this time (`performance.now()`); what is left out is said. */
  readonly deadline: number;
}

export async function measureAll(plan: Plan): Promise<Result[]> {
  const { cases, subjects, ours, rounds } = plan;
  const loaded = cases.filter((one) => one.unloadedWithWorkers === undefined);
  const unloaded = cases.filter((one) => one.unloadedWithWorkers !== undefined);
  const results: Result[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const subject of subjects) {
      const groups = [loaded, ...(subject.name === ours ? unloaded.map((one) => [one]) : [])];
      for (const group of groups) results.push(...(await measureOne(plan, subject, group, round)));
    }
  }
  return results;
}

/** The cases that one start of a subject serves. */
async function measureOne(
  { directory, options, rounds, deadline }: Plan,
  subject: Subject,
  cases: readonly BenchCase[],
  round: number,
): Promise<Result[]> {
  const results: Result[] = [];
  if (cases.length === 0) return results;
  if (performance.now() > deadline) {
    console.error(`no time left for ${subject.name}: ${cases.map(({ name }) => name).join(', ')}`);
    return results;
  }
  makeWorld();
  const command = [options.binary, 'serve', '-p', String(APP_PORT)];
  const server = inNamespace(SERVER, command, `${directory}/server.log`);
  await listening(SERVER, APP_PORT);
  const workers = cases[0]?.unloadedWithWorkers;
  const running = await subject.start(directory, workers);
  try {
    if (workers !== undefined) await delay(SETTLE_MS);
    for (const one of cases) {
      if (subject === direct && one.args[0] === 'conns') continue;
      if (performance.now() > deadline) {
        console.error(`no time left for ${subject.name} ${one.name}`);
        continue;
      }
      const result = attempt(() =>
        workers === undefined
          ? measure(one, running, options)
          : { largest_rss_mb: Math.max(...running.pids.map(residentKb)) / 1024 },
      );
      results.push({ case: one.name, subject: subject.name, round, ...result });
      console.error(
        `round ${round + 1}/${rounds} ${subject.name} ${one.name} ${JSON.stringify(result)}`,
      );
    }
  } finally {
    await running.stop();
    await ended(server);
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

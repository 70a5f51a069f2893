/** Calls the load generator (load.c) and reads its figures. */
import { execFileSync } from 'node:child_process';
import type { BenchCase } from './cases.ts';
import type { Running } from './subject.ts';
import { APP_PORT } from './subject.ts';
import { CLIENT, run, SERVER_ADDRESS } from './world.ts';

export interface LoadOptions {
  readonly binary: string;
  readonly seconds: number;
  readonly warmSeconds: number;
}

/** Runs one case against one running subject; throws what the generator said when it failed. */
export function measure(
  one: BenchCase,
  subject: Running,
  options: LoadOptions,
): Record<string, number> {
  const idle = one.args[0] === 'conns';
  const pin = one.oneCpu === true ? ['taskset', '-c', '1'] : [];
  if (one.oneCpu === true) for (const pid of subject.pids) run('taskset', '-acp', '1', String(pid));
  try {
    const printed = execFileSync(
      'ip',
      [
        'netns',
        'exec',
        CLIENT,
        ...pin,
        options.binary,
        ...one.args,
        '-a',
        SERVER_ADDRESS,
        '-p',
        String(APP_PORT),
        '-t',
        String(idle ? 1 : options.seconds),
        '-w',
        String(options.warmSeconds),
        ...(subject.pids.length > 0 ? ['-P', subject.pids.join(',')] : []),
      ],
      { encoding: 'utf8', timeout: 120_000, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    return figures(printed);
  } finally {
    if (one.oneCpu === true)
      for (const pid of subject.pids) run('taskset', '-acp', '0-1', String(pid));
  }
}

/** Reads the one JSON line; `-nan` of an empty division becomes absent. */
export function figures(printed: string): Record<string, number> {
  const raw: unknown = JSON.parse(printed.replaceAll(/-?nan|-?inf/g, 'null'));
  const found: Record<string, number> = {};
  if (typeof raw !== 'object' || raw === null)
    throw new Error(`no figures in "${printed.slice(0, 200)}"`);
  for (const [key, value] of Object.entries(raw)) {
    if (typeof value === 'number') found[key] = value;
    if (!Array.isArray(value)) continue;
    const total = value.reduce(
      (sum: number, part: unknown) => sum + (typeof part === 'number' ? part : 0),
      0,
    );
    if (key === 'kb_per_conn') found['kb_per_connection'] = total;
    if (key === 'rss_kb') found['rss_mb'] = total / 1024;
  }
  if ('error' in raw) throw new Error(String(raw.error));
  return found;
}

/** What a program of the mesh uses of the machine, read from /proc, and small helpers for figures. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { Program } from '../helpers/program.ts';
import type { Netns } from '../helpers/netns.ts';
import { getText } from '../helpers/pod-http.ts';

const TICKS_PER_SECOND = 100;
const METRICS_PORT = 15_020;

export function descriptors({ pid }: Program): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** 0 of a process that has ended. */
export function rssMib({ pid }: Program): number {
  if (!existsSync(`/proc/${pid}/status`)) return 0;
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}

/** CPU seconds of a process, all threads, user and system. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Sum over all series of a metric of an agent, as a scraper on its node would see it. */
export async function metric(node: Netns, name: string): Promise<number> {
  const text = await getText(node.fd, { address: '127.0.0.1', port: METRICS_PORT }, '/metrics');
  const series = text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, 'gm'));
  return Array.from(series).reduce((sum, [, value]) => sum + Number(value), 0);
}

/** Waits until something holds, and says how long that took; Infinity when it did not in time. */
export async function msUntil(
  holds: () => boolean | Promise<boolean>,
  withinMs: number,
): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    const isTrue = await (async () => holds())().catch(() => false);
    const passed = performance.now() - startedAt;
    if (isTrue) return passed;
    if (passed > withinMs) return Infinity;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Prints a duration as people read it. */
export function ms(value: number): string {
  return value === Infinity ? 'never' : `${Math.round(value)} ms`;
}

export function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(3)} %`;
}

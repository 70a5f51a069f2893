/** What the kernel says of a process: memory, CPU, descriptors, threads. Throws when it has ended. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

function statusKb(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const found = new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1];
  if (found === undefined) throw new Error(`no ${field} of process ${pid}`);
  return Number(found);
}

/** Memory that it holds now. */
export const residentKb = (pid: number): number => statusKb(pid, 'VmRSS');

/** The most memory that it ever held. */
export const peakKb = (pid: number): number => statusKb(pid, 'VmHWM');

export const threads = (pid: number): number => statusKb(pid, 'Threads');

/** Open descriptors. */
export const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** CPU seconds since it began, of all its threads. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name may contain spaces and brackets; fields are counted from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

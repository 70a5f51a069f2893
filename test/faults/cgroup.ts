/** Limits on one process by a control group of its own, version 1 or 2. */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import type { Undo } from './scenario.ts';

const ROOT = '/sys/fs/cgroup';

/** What a machine offers: false, or why a limit cannot be set here. */
export function cannotLimit(what: 'memory' | 'cpu'): string | false {
  if (existsSync(`${ROOT}/${what}/cgroup.procs`) || existsSync(`${ROOT}/cgroup.controllers`))
    return false;
  return `this machine has no control group for ${what}`;
}

export function limitMemory(undo: Undo, pid: number, bytes: number): string {
  return limit(undo, pid, 'memory', [
    ['memory.limit_in_bytes', String(bytes)],
    ['memory.max', String(bytes)],
  ]);
}

/** Grants a share of one core. */
export function limitCpu(undo: Undo, pid: number, cores: number): string {
  return limit(undo, pid, 'cpu', [
    ['cpu.cfs_quota_us', String(Math.round(cores * 100_000))],
    ['cpu.max', `${Math.round(cores * 100_000)} 100000`],
  ]);
}

/** Returns the directory of the group; the process goes back to the root of the tree afterwards. */
function limit(
  undo: Undo,
  pid: number,
  what: 'memory' | 'cpu',
  settings: readonly (readonly [string, string])[],
): string {
  const base = existsSync(`${ROOT}/${what}`) ? `${ROOT}/${what}` : ROOT;
  const directory = `${base}/plumb-fault-${process.pid}-${pid}`;
  mkdirSync(directory);
  undo.after(() => {
    if (existsSync(`/proc/${pid}`)) writeFileSync(`${base}/cgroup.procs`, String(pid));
    rmdirSync(directory);
  });
  const setting = settings.find(([name]) => existsSync(`${directory}/${name}`));
  if (setting === undefined) throw new Error(`${directory} offers no limit`);
  writeFileSync(`${directory}/${setting[0]}`, setting[1]);
  writeFileSync(`${directory}/cgroup.procs`, String(pid));
  return directory;
}

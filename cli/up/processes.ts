/**
 * The processes of a mesh, and who they are after a crash.
 *
 * A pid alone says little, since pids come round again; a pid together with the time at which the
 * process started names one process for good. Only such pairs are ever signalled.
 */
import { readFileSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

export interface ProcessMark {
  readonly pid: number;
  /** Ticks since boot at which it started: field 22 of /proc/PID/stat. */
  readonly started: string;
}

/** Reads when a process started; undefined when there is none, or only its remains. */
export function startOf(pid: number): string | undefined {
  const fields = statFields(pid);
  return fields?.[0] === 'Z' ? undefined : fields?.[19];
}

export function markOf(pid: number): ProcessMark | undefined {
  const started = startOf(pid);
  return started === undefined ? undefined : { pid, started };
}

export function isAlive(mark: ProcessMark): boolean {
  return startOf(mark.pid) === mark.started;
}

/** Signals exactly this process; does nothing when it is gone. */
export function signal(mark: ProcessMark, name: NodeJS.Signals): void {
  if (!isAlive(mark)) return;
  try {
    process.kill(mark.pid, name);
  } catch {
    // It ended between the two lines, which is what was wanted.
  }
}

/** Kills these processes and waits until the kernel has let go of them; false when it has not. */
export async function killAll(marks: readonly ProcessMark[], timeoutMs = 5000): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (const mark of marks) signal(mark, 'SIGKILL');
  // The processes may be nobody's children here, so there is no event to wait for.
  while (marks.some(isAlive)) {
    if (performance.now() > deadline) return false;
    await delay(10);
  }
  return true;
}

/** Lists the processes that live in one of these network namespaces. */
export function processesIn(netnsPaths: readonly string[]): ProcessMark[] {
  const spaces = new Set(netnsPaths.map(identityOfFile).filter((id) => id !== undefined));
  if (spaces.size === 0) return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => spaces.has(identityOfFile(`/proc/${name}/ns/net`) ?? ''))
    .map((name) => markOf(Number(name)))
    .filter((mark) => mark !== undefined);
}

/** The first child of a process, as seen from here: the process that `unshare --fork` runs. */
export function childOf(pid: number): number | undefined {
  try {
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
    return first === undefined || first === '' ? undefined : Number(first);
  } catch {
    return undefined;
  }
}

/** What is running, on disk, so that a successor can end it. */
export class ProcessList {
  readonly #path: string;
  readonly #marks = new Map<number, ProcessMark>();

  constructor(path: string) {
    this.#path = path;
  }

  add(pid: number): void {
    const mark = markOf(pid);
    if (mark === undefined) return;
    this.#marks.set(pid, mark);
    this.#write();
  }

  remove(pid: number): void {
    if (this.#marks.delete(pid)) this.#write();
  }

  all(): ProcessMark[] {
    return [...this.#marks.values()];
  }

  #write(): void {
    const lines = Array.from(this.#marks.values(), ({ pid, started }) => `${pid} ${started}\n`);
    writeFileSync(`${this.#path}.new`, lines.join(''), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }
}

/** Reads what a `ProcessList` wrote; nothing when there is no such file. */
export function readProcessList(path: string): ProcessMark[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  return Array.from(text.matchAll(/^(\d+) (\d+)$/gm), ([, pid = '', started = '']) => ({
    pid: Number(pid),
    started,
  }));
}

/** From the state on; the name before it may hold spaces and brackets. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function identityOfFile(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined; // Gone, or not ours to look at.
  }
}

/**
 * The one place where the agent runs other programs: iptables, ipset and ip.
 *
 * A child inherits the network namespace of the thread that spawns it, and the spawn is over when
 * `spawn` returns; so it is made inside `inNetns`, and no `nsenter` is needed. Programs are called
 * directly, never through a shell, with an environment of our own; their time, their output and
 * their number are bounded.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { MeshError } from '#common/errors.ts';
import { inNetns } from '#common/sys/netns.ts';

export interface Run {
  readonly program: string;
  readonly args: readonly string[];
  readonly input?: string;
  /** The descriptor of the network namespace to run in; the agent's own when left out. */
  readonly netns?: number;
}

/** Runs a program and returns its standard output; rejects with `COMMAND_FAILED` on any exit but 0. */
export type Command = (run: Run) => Promise<string>;

export const COMMAND_TIMEOUT_MS = 10_000;
export const LONGEST_OUTPUT_BYTES = 16 << 20;
/** More at once gain nothing: the kernel takes rules under one lock. */
export const MOST_CHILDREN = 4;

/** Makes a `Command`; all that share it share its limit on children. */
export function createCommand(timeoutMs = COMMAND_TIMEOUT_MS): Command {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (what) => {
    if (running >= MOST_CHILDREN) {
      const turn = Promise.withResolvers<void>();
      waiting.push(turn.resolve);
      await turn.promise;
    } else {
      running += 1;
    }
    try {
      return await runOnce(what, timeoutMs);
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}

async function runOnce(what: Run, timeoutMs: number): Promise<string> {
  const start = (): ChildProcess =>
    spawn(what.program, what.args, { stdio: ['pipe', 'pipe', 'pipe'], env: environment() });
  const child = what.netns === undefined ? start() : inNetns(what.netns, start);
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  try {
    return await outcome(child, what);
  } finally {
    clearTimeout(timer);
  }
}

async function outcome(child: ChildProcess, what: Run): Promise<string> {
  const out: Buffer[] = [];
  const errors: Buffer[] = [];
  collect(child, child.stdout, out);
  collect(child, child.stderr, errors);
  const end = Promise.withResolvers<string>();
  child.on('error', (cause) => end.reject(failed(what, 'it cannot be started', cause)));
  child.on('close', (code, signal) => {
    if (code === 0) end.resolve(Buffer.concat(out).toString());
    else end.reject(failed(what, `${signal ?? `exit ${code}`}: ${firstLine(errors)}`));
  });
  // A child that ends before it has read everything is judged by its exit code alone.
  child.stdin?.on('error', () => {});
  child.stdin?.end(what.input);
  return end.promise;
}

function collect(child: ChildProcess, from: ChildProcess['stdout'], into: Buffer[]): void {
  let bytes = 0;
  from?.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > LONGEST_OUTPUT_BYTES) child.kill('SIGKILL');
    else into.push(chunk);
  });
}

function failed({ program, args }: Run, found: string, cause?: Error): MeshError {
  const line = [program, ...args].join(' ');
  return new MeshError('COMMAND_FAILED', `Cannot run "${line}": ${found}`, {
    details: { program },
    ...(cause === undefined ? {} : { cause }),
  });
}

const LONGEST_MESSAGE = 300;

function firstLine(errors: readonly Buffer[]): string {
  const text = Buffer.concat(errors).toString().trim();
  return text === '' ? 'no message' : text.split('\n', 1).join('').slice(0, LONGEST_MESSAGE);
}

/** Debian keeps iptables in sbin, which not every PATH has; the lock's place may be moved. */
function environment(): NodeJS.ProcessEnv {
  const { PATH = '', XTABLES_LOCKFILE } = process.env;
  return {
    PATH: `${PATH}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`,
    LC_ALL: 'C',
    ...(XTABLES_LOCKFILE === undefined ? {} : { XTABLES_LOCKFILE }),
  };
}

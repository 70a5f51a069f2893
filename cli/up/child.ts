/**
 * Programs that run inside a network namespace of the world.
 *
 * Each is the head of its own session, so a Ctrl-C at the terminal reaches `plumb` alone, and it is
 * on the list that a successor reads after a crash. What it prints goes to its log file.
 */
import { spawn } from 'node:child_process';
import type { LogFile } from './log-file.ts';
import { markOf, signal } from './processes.ts';
import type { ProcessList, ProcessMark } from './processes.ts';

/** A program whose `plumb` was killed ends with it: nobody would look after it. */
const WITH_US = ['setpriv', '--pdeathsig', 'KILL', '--'];

export interface ChildPlan {
  readonly netnsPath: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly output: LogFile;
  readonly processes: ProcessList;
}

export interface ChildExit {
  /** 128 + the signal's number when a signal ended it, as a shell has it. */
  readonly code: number;
  /** `exit code 1`, `SIGKILL` or why it could not be started. */
  readonly reason: string;
}

export class Child {
  readonly exit: Promise<ChildExit>;
  readonly #mark: ProcessMark | undefined;

  constructor(plan: ChildPlan) {
    const done = Promise.withResolvers<ChildExit>();
    this.exit = done.promise;
    const started = spawn('nsenter', [`--net=${plan.netnsPath}`, '--', ...WITH_US, ...plan.argv], {
      env: plan.env,
      cwd: plan.cwd,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const pid = started.pid;
    this.#mark = pid === undefined ? undefined : markOf(pid);
    if (pid !== undefined) plan.processes.add(pid);
    started.stdout.on('data', (bytes: Buffer) => plan.output.write(bytes));
    started.stderr.on('data', (bytes: Buffer) => plan.output.write(bytes));
    started.once('error', (error) => done.resolve({ code: 127, reason: error.message }));
    started.once('exit', (code, name) => {
      if (pid !== undefined) plan.processes.remove(pid);
      done.resolve({
        code: code ?? 128,
        reason: name ?? `exit code ${code ?? 'unknown'}`,
      });
    });
  }

  /** 0 when it could not be started. */
  get pid(): number {
    return this.#mark?.pid ?? 0;
  }

  get mark(): ProcessMark | undefined {
    return this.#mark;
  }

  signal(name: NodeJS.Signals): void {
    if (this.#mark !== undefined) signal(this.#mark, name);
  }
}

/**
 * A program of the mesh (controller, node agent) that `plumb up` keeps running.
 *
 * One that ends by itself is started again, later each time. `replace` starts a successor beside
 * the one that runs and lets that one go only once the successor is ready; both may run meanwhile.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '#common/backoff.ts';
import { MeshError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { Child } from './child.ts';
import type { LogFile } from './log-file.ts';
import type { ProcessList } from './processes.ts';

const RESTART = { firstMs: 200, longestMs: 10_000 };
const STEADY_MS = 30_000;
const READY_TIMEOUT_MS = 30_000;
const READY_EVERY_MS = 50;
/** Longer than any drain that is configured here. */
const LEAVING_MS = 15_000;

export interface ProgramPlan {
  /** For people: `controller`, `agent of node-a`. */
  readonly name: string;
  readonly netnsPath: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly output: LogFile;
  readonly processes: ProcessList;
  readonly log: Logger;
  /** Says whether the process with this pid does its work; asked until it does. */
  readonly isReady: (pid: number) => Promise<boolean>;
  /** Told whenever the pid changes. */
  readonly onChange: () => void;
}

export class Program {
  readonly #plan: ProgramPlan;
  readonly #stopped = new AbortController();
  #child: Child | undefined;
  #restarts = 0;
  /** Those that were replaced and finish what they have in hand. */
  readonly #leaving = new Set<Child>();
  #keeping: Promise<unknown> = Promise.resolve();

  constructor(plan: ProgramPlan) {
    this.#plan = plan;
  }

  get name(): string {
    return this.#plan.name;
  }

  /** 0 while there is none. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** How often it had to be started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Starts it and resolves when it is ready; rejects when it ends or is not ready in time. */
  async start(): Promise<void> {
    const child = this.#spawn();
    this.#keeping = this.#keep(child);
    await this.#ready(child);
  }

  /** Resolves when the program that runs now, or the one started after it, is ready. */
  async ready(): Promise<void> {
    const deadline = performance.now() + READY_TIMEOUT_MS;
    while (performance.now() < deadline) {
      if (this.pid !== 0 && (await this.#plan.isReady(this.pid))) return;
      await delay(READY_EVERY_MS, undefined, { signal: this.#stopped.signal });
    }
    throw this.#notReady('it was not ready in time');
  }

  /** Starts a successor that takes over; resolves when that is ready and the predecessor has left. */
  async replace(): Promise<void> {
    const old = this.#child;
    const next = this.#spawn();
    if (old !== undefined) this.#leaving.add(old);
    this.#keeping = Promise.all([this.#keeping, this.#keep(next)]);
    await this.#ready(next);
    if (old === undefined) return;
    // It knows that it was replaced, and ends when it has finished what it had in hand.
    const given = new AbortController();
    const late = delay(LEAVING_MS, true, { signal: given.signal }).catch(() => false);
    if (await Promise.race([old.exit.then(() => false), late])) old.signal('SIGTERM');
    // One that hangs hears no request; its listeners would take connections that nobody serves.
    const hangs = delay(LEAVING_MS, true, { signal: given.signal }).catch(() => false);
    if (await Promise.race([old.exit.then(() => false), hangs])) old.signal('SIGKILL');
    given.abort();
    await old.exit;
  }

  /** Kills it, for a test or a demonstration; it is started again. */
  kill(): void {
    this.#child?.signal('SIGKILL');
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopped.abort();
    const children = [this.#child, ...this.#leaving].filter((child) => child !== undefined);
    for (const child of children) child.signal('SIGTERM');
    const ended = new AbortController();
    const all = Promise.all(children.map(async (child) => child.exit));
    const late = delay(graceMs, true, { signal: ended.signal }).catch(() => false);
    if (await Promise.race([all.then(() => false), late])) {
      for (const child of children) child.signal('SIGKILL');
    }
    ended.abort();
    await all;
    await this.#keeping;
  }

  /** Waits for the end of `child`, and starts another unless it was meant to end. Never rejects. */
  async #keep(first: Child): Promise<void> {
    let child = first;
    let failures = 0;
    for (;;) {
      const began = performance.now();
      const { reason } = await child.exit;
      if (this.#stopped.signal.aborted || this.#leaving.delete(child)) return;
      failures = performance.now() - began > STEADY_MS ? 1 : failures + 1;
      const waitMs = backoffMs(failures, RESTART, Math.random());
      this.#plan.log.warn('program ended and is started again', {
        program: this.#plan.name,
        reason,
        waitMs: Math.round(waitMs),
      });
      this.#child = undefined;
      this.#plan.onChange();
      await delay(waitMs, undefined, { signal: this.#stopped.signal }).catch(() => {});
      if (this.#stopped.signal.aborted) return;
      this.#restarts += 1;
      child = this.#spawn();
    }
  }

  #spawn(): Child {
    const { netnsPath, argv, env, output, processes } = this.#plan;
    const child = new Child({ netnsPath, argv, env, cwd: '/', output, processes });
    this.#child = child;
    this.#plan.onChange();
    return child;
  }

  async #ready(child: Child): Promise<void> {
    const deadline = AbortSignal.timeout(READY_TIMEOUT_MS);
    const done = new AbortController();
    const signal = AbortSignal.any([deadline, done.signal, this.#stopped.signal]);
    const poll = async (): Promise<undefined> => {
      while (!(await this.#plan.isReady(child.pid))) {
        await delay(READY_EVERY_MS, undefined, { signal });
      }
      return undefined;
    };
    try {
      const exit = await Promise.race([poll(), child.exit]);
      if (exit !== undefined) throw this.#notReady(`it ended with ${exit.reason}`);
    } catch (error) {
      throw deadline.aborted ? this.#notReady('it was not ready in time') : error;
    } finally {
      done.abort();
    }
  }

  #notReady(found: string): MeshError {
    const { name, output } = this.#plan;
    return new MeshError(
      'COMMAND_FAILED',
      // The log goes with the mesh when this ends it.
      `Cannot start the ${name}: ${found}; it said: ${output.lastLine()}`,
    );
  }
}

/**
 * The event loop of a data worker: wait, handle, flush.
 *
 * One pass waits for events, hands them to their watchers, runs the tasks that asked for their
 * turn in this pass, then the timers, and at last everything that was put off to the end of the
 * pass, so that one send carries what many events produced. Nothing that a handler throws ends the
 * loop. A loop belongs to the thread that runs it; only `signalEvent(loop.wake())` may come from
 * another.
 */
import {
  clearEvent,
  Epoll,
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  openEvent,
} from '../sys/epoll.ts';
import { closeFd } from '../sys/libc.ts';
import { TimerWheel } from './timers.ts';
import type { Task } from './timers.ts';

export type { Task } from './timers.ts';

export const READABLE = EPOLLIN;
export const WRITABLE = EPOLLOUT;
/** No more than what is in the socket will come: the peer has half-closed, reset or gone. */
export const HANGUP = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/** Who is told of a descriptor's events; `onFault` gets what `onEvents` threw. */
export interface Watcher {
  onEvents(events: number): void;
  onFault?(error: unknown): void;
}

const EDGE_TRIGGERED = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
const MAX_WAIT_MS = 1000;

export class Loop {
  readonly timers: TimerWheel;
  readonly #epoll = new Epoll();
  readonly #onError: (error: unknown) => void;
  readonly #wakeFd = openEvent();
  /** By descriptor; a tag tells a descriptor from an earlier one with the same number. */
  readonly #watchers: (Watcher | undefined)[] = [];
  readonly #tags: number[] = [];
  #next: Task[] = [];
  #current: Task[] = [];
  readonly #atEnd: Task[] = [];
  #nowMs = readClock();
  #running = false;
  #paced: Task | undefined;
  #pacedDue = 0;
  #onWake: () => void = () => undefined;

  constructor(options: { readonly onError: (error: unknown) => void }) {
    this.#onError = options.onError;
    this.timers = new TimerWheel(this.#nowMs, (task) => this.#run(task));
    this.addListener(this.#wakeFd, {
      onEvents: () => {
        clearEvent(this.#wakeFd);
        this.#onWake();
      },
    });
  }

  /** Milliseconds of a clock that never goes back, read once a pass. */
  get now(): number {
    return this.#nowMs;
  }

  /** Watches a connection, edge-triggered; its state at this moment is the first event. */
  add(fd: number, watcher: Watcher): void {
    this.#register(fd, EDGE_TRIGGERED, watcher);
  }

  /** Watches a listener, level-triggered: it is told again for as long as connections wait. */
  addListener(fd: number, watcher: Watcher): void {
    this.#register(fd, EPOLLIN, watcher);
  }

  /** To be called before the descriptor is closed. Events that were already reported are lost. */
  remove(fd: number): void {
    if (this.#watchers[fd] === undefined) return;
    this.#watchers[fd] = undefined;
    this.#epoll.remove(fd);
  }

  /**
   * As `remove`, for a descriptor that is closed right after: closing takes it out of the epoll
   * instance too, unless another process shares it.
   */
  forget(fd: number): void {
    this.#watchers[fd] = undefined;
  }

  /** Runs a task in the next pass, which then does not wait: the back of the queue. */
  soon(task: Task): void {
    this.#next.push(task);
  }

  /**
   * Runs a task once, in a pass that is at least `ms` from here: for long work that is done in
   * portions, with a finer clock than the timers have. There is one such task at a time.
   */
  paced(ms: number, task: Task): void {
    this.#paced = task;
    this.#pacedDue = performance.now() + ms;
  }

  /** Runs a task at the end of this pass. */
  atPassEnd(task: Task): void {
    this.#atEnd.push(task);
  }

  /** The eventfd by which another thread makes `onWake` run. */
  wake(): number {
    return this.#wakeFd;
  }

  /** Says what to do when another thread has signalled. */
  onWake(work: () => void): void {
    this.#onWake = work;
  }

  /** Runs until `stop()`. */
  run(onWake?: () => void): void {
    if (onWake !== undefined) this.#onWake = onWake;
    this.#running = true;
    while (this.#running) this.pass(MAX_WAIT_MS);
  }

  stop(): void {
    this.#running = false;
  }

  /** Goes round once, waiting for at most `maxWaitMs`. */
  pass(maxWaitMs: number): void {
    const wait = this.#next.length > 0 ? 0 : this.timers.untilNext(this.#untilPaced(maxWaitMs));
    const count = this.#epoll.wait(wait);
    this.#nowMs = readClock();
    for (let i = 0; i < count; i += 1) this.#dispatch(i);
    this.#runSoon();
    this.timers.advance(this.#nowMs);
    this.#runPaced();
    // A flush may put off another one, so the length is read anew.
    for (let i = 0; i < this.#atEnd.length; i += 1) {
      const task = this.#atEnd[i];
      if (task !== undefined) this.#run(task);
    }
    this.#atEnd.length = 0;
  }

  /** Frees the loop's own descriptors; those of watchers are their owners'. */
  close(): void {
    this.#watchers.length = 0;
    this.#epoll.close();
    closeFd(this.#wakeFd);
  }

  /** Reports an error that has no other place to go. */
  report(error: unknown): void {
    this.#onError(error);
  }

  #register(fd: number, events: number, watcher: Watcher): void {
    const tag = ((this.#tags[fd] ?? 0) + 1) | 0;
    this.#tags[fd] = tag;
    this.#watchers[fd] = watcher;
    const result = this.#epoll.add(fd, events, tag);
    if (result < 0) {
      this.#watchers[fd] = undefined;
      throw new RangeError(`Cannot watch descriptor ${fd}: errno ${-result}`);
    }
  }

  #dispatch(i: number): void {
    const fd = this.#epoll.fdAt(i);
    const watcher = this.#watchers[fd];
    if (watcher === undefined || this.#tags[fd] !== this.#epoll.tagAt(i)) return;
    try {
      watcher.onEvents(this.#epoll.eventsAt(i));
    } catch (error) {
      this.#fault(error, watcher);
    }
  }

  #runSoon(): void {
    if (this.#next.length === 0) return;
    const tasks = this.#next;
    this.#next = this.#current;
    this.#current = tasks;
    for (let i = 0; i < tasks.length; i += 1) {
      const task = tasks[i];
      if (task !== undefined) this.#run(task);
    }
    tasks.length = 0;
  }

  #run(task: Task): void {
    try {
      task.run();
    } catch (error) {
      this.#fault(error, task);
    }
  }

  #fault(error: unknown, source: Watcher | Task): void {
    this.#onError(error);
    try {
      source.onFault?.(error);
    } catch (again) {
      this.#onError(again);
    }
  }

  #untilPaced(maxWaitMs: number): number {
    if (this.#paced === undefined) return maxWaitMs;
    return Math.min(maxWaitMs, Math.max(0, Math.ceil(this.#pacedDue - performance.now())));
  }

  #runPaced(): void {
    const task = this.#paced;
    if (task === undefined || performance.now() < this.#pacedDue) return;
    this.#paced = undefined;
    this.#run(task);
  }
}

function readClock(): number {
  return Math.trunc(performance.now());
}

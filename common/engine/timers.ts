/**
 * Time-outs on a hashed wheel: setting, cancelling and re-arming are O(1), and one pass of the
 * loop costs what has expired.
 *
 * A timer never fires early and at most one tick late. It fires once; a task may set, cancel or
 * re-arm any timer, its own included.
 */

/** Something to be run once; `onFault` gets what `run` threw. */
export interface Task {
  run(): void;
  onFault?(error: unknown): void;
}

export const TICK_MS = 50;
const SLOTS = 512;

export class Timer {
  readonly task: Task;
  /** The tick at which it fires. */
  due = 0;
  previous: Timer | undefined;
  next: Timer | undefined;

  constructor(task: Task) {
    this.task = task;
  }

  get armed(): boolean {
    return this.next !== undefined;
  }
}

export class TimerWheel {
  /** Rings, each closed by a sentinel. */
  readonly #slots: readonly Timer[] = Array.from({ length: SLOTS }, newRing);
  readonly #expired = newRing();
  readonly #run: (task: Task) => void;
  #nowMs: number;
  #tick: number;
  #armed = 0;

  /** `run` is called for each task that is due, and must not throw. */
  constructor(nowMs: number, run: (task: Task) => void) {
    this.#nowMs = nowMs;
    this.#tick = Math.floor(nowMs / TICK_MS);
    this.#run = run;
  }

  get armed(): number {
    return this.#armed;
  }

  after(ms: number, task: Task): Timer {
    const timer = new Timer(task);
    this.rearm(timer, ms);
    return timer;
  }

  /** Sets a timer anew, whether it is armed, has fired or was cancelled. */
  rearm(timer: Timer, ms: number): void {
    this.cancel(timer);
    timer.due = Math.max(this.#tick + 1, Math.ceil((this.#nowMs + ms) / TICK_MS));
    link(this.#slots[timer.due % SLOTS], timer);
    this.#armed += 1;
  }

  /** Does nothing when the timer is not armed. */
  cancel(timer: Timer): void {
    if (!timer.armed) return;
    unlink(timer);
    this.#armed -= 1;
  }

  /** Runs what is due at `nowMs`. */
  advance(nowMs: number): void {
    this.#nowMs = nowMs;
    const until = Math.floor(nowMs / TICK_MS);
    if (until <= this.#tick) return;
    const steps = Math.min(until - this.#tick, SLOTS);
    if (this.#armed > 0) {
      for (let i = 0; i < steps; i += 1) this.#collect((until - i) % SLOTS, until);
    }
    this.#tick = until;
    // A task may cancel others of this list, so it is taken apart one by one.
    for (let timer = this.#expired.next; timer !== this.#expired; timer = this.#expired.next) {
      if (timer === undefined) return;
      this.cancel(timer);
      this.#run(timer.task);
    }
  }

  /** How long nothing is due, as far as that is within `maxMs`. */
  untilNext(maxMs: number): number {
    if (this.#armed === 0) return maxMs;
    const ticks = Math.min(Math.ceil(maxMs / TICK_MS), SLOTS);
    for (let i = 1; i <= ticks; i += 1) {
      const slot = this.#slots[(this.#tick + i) % SLOTS];
      // A slot also holds timers of later rounds: then this wakes up once too often, no more.
      if (slot !== undefined && slot.next !== slot) {
        return Math.min(maxMs, (this.#tick + i) * TICK_MS - this.#nowMs);
      }
    }
    return maxMs;
  }

  #collect(index: number, until: number): void {
    const slot = this.#slots[index];
    let timer = slot?.next;
    while (timer !== undefined && timer !== slot) {
      const following = timer.next;
      if (timer.due <= until) {
        unlink(timer);
        link(this.#expired, timer);
      }
      timer = following;
    }
  }
}

const NOTHING: Task = { run: () => undefined };

function newRing(): Timer {
  const ring = new Timer(NOTHING);
  ring.next = ring;
  ring.previous = ring;
  return ring;
}

/** Puts a timer at the end of a ring. */
function link(ring: Timer | undefined, timer: Timer): void {
  const last = ring?.previous;
  if (ring === undefined || last === undefined) throw new TypeError('Cannot link: not a ring');
  timer.previous = last;
  timer.next = ring;
  last.next = timer;
  ring.previous = timer;
}

function unlink(timer: Timer): void {
  if (timer.previous !== undefined) timer.previous.next = timer.next;
  if (timer.next !== undefined) timer.next.previous = timer.previous;
  timer.previous = undefined;
  timer.next = undefined;
}

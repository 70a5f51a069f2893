/**
 * Something that is done again and again, because the world may differ from what it should be: by the
 * replica that leads, or by each. One run at a time; a failure is logged once and tried again later and
 * later, so that an API server that is away costs little and nothing is lost.
 */
import { backoffMs } from '#common/backoff.ts';
import type { Part } from '#common/lifecycle.ts';
import type { Logger } from '#common/log.ts';

export interface ChoreOptions {
  readonly name: string;
  /** Brings the world nearer to what it should be; must come to an end when the signal aborts. */
  readonly work: (signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
  /** From the end of one run to the next that nobody asked for. */
  readonly everyMs: number;
  /** Says whether this replica may do it now; asked before each run. */
  readonly mayRun?: () => boolean;
}

/** What is asked for within this time is done together. */
const GATHER_MS = 200;
const RETRY = { firstMs: 1000, longestMs: 30_000 };

export class Chore implements Part {
  readonly name: string;
  readonly #options: ChoreOptions;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #running: Promise<void> | undefined;
  #failures = 0;

  constructor(options: ChoreOptions) {
    this.#options = options;
    this.name = options.name;
  }

  async start(): Promise<void> {
    this.#schedule(0);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** Asks for a run soon; after a failure, no sooner than planned. */
  wake(): void {
    if (this.#failures === 0) this.#schedule(GATHER_MS);
  }

  #schedule(inMs: number): void {
    const dueMs = performance.now() + inMs;
    if (this.#stop.signal.aborted || dueMs >= this.#dueMs) return;
    this.#dueMs = dueMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // What is asked for during a run is remembered in `#dueMs`, and done after it.
      this.#running ??= this.#run().finally(() => (this.#running = undefined));
    }, inMs).unref();
  }

  async #run(): Promise<void> {
    const { work, mayRun, everyMs, log } = this.#options;
    const { signal } = this.#stop;
    this.#dueMs = Number.POSITIVE_INFINITY;
    let nextMs = everyMs;
    try {
      if (mayRun?.() ?? true) await work(signal);
      if (this.#failures > 0) log.info('a chore succeeds again', { chore: this.name });
      this.#failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      this.#failures += 1;
      if (this.#failures === 1) {
        log.warn('a chore failed; it is tried again', { chore: this.name, error });
      }
      nextMs = backoffMs(this.#failures, RETRY, Math.random());
      this.#dueMs = Number.POSITIVE_INFINITY;
    }
    const soonerMs = this.#dueMs - performance.now();
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#schedule(Math.max(0, Math.min(nextMs, soonerMs)));
  }
}

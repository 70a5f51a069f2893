/**
 * Small writes to the API server, by key, at a bounded rate: what is asked for again before it was
 * written is written once, as it was asked for last.
 *
 * An API server that is away or asks us to wait loses nothing: the queue rests, longer and longer, and
 * goes on. A write that is refused for good is dropped with one log line, so it holds up no other; one
 * that is forbidden only after some tries, since an API server that starts knows no rights yet.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '#common/backoff.ts';
import type { Part } from '#common/lifecycle.ts';
import type { Logger } from '#common/log.ts';
import { statusOf } from '../kube/api-client.ts';

export interface WriteQueueOptions {
  readonly name: string;
  readonly log: Logger;
  readonly perSecond: number;
}

export type Write = (signal: AbortSignal) => Promise<void>;

const RETRY = { firstMs: 1000, longestMs: 30_000 };
/** What was asked for and not yet written; beyond it the oldest is forgotten, and counted. */
const MOST_WAITING = 100_000;
const TOO_MANY_REQUESTS = 429;
const UNKNOWN_OR_FORBIDDEN = [401, 403];
const MOST_TRIES_FORBIDDEN = 10;

export class WriteQueue implements Part {
  readonly name: string;
  readonly #options: WriteQueueOptions;
  readonly #waiting = new Map<string, Write>();
  readonly #stop = new AbortController();
  #arrived = Promise.withResolvers<void>();
  #running: Promise<void> = Promise.resolve();
  #failures = 0;
  /** How often a write that waits was forbidden. */
  readonly #forbidden = new Map<string, number>();
  written = 0;
  dropped = 0;

  constructor(options: WriteQueueOptions) {
    this.#options = options;
    this.name = options.name;
  }

  get depth(): number {
    return this.#waiting.size;
  }

  async start(): Promise<void> {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#arrived.resolve();
    await this.#running;
  }

  put(key: string, write: Write): void {
    if (!this.#waiting.has(key) && this.#waiting.size >= MOST_WAITING) this.#dropOldest();
    this.#waiting.set(key, write);
    this.#arrived.resolve();
  }

  /** Takes back what has not been written. */
  forget(key: string): void {
    this.#waiting.delete(key);
    this.#forbidden.delete(key);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const [next] = this.#waiting;
      if (next === undefined) {
        this.#arrived = Promise.withResolvers();
        await this.#arrived.promise;
        continue;
      }
      const [key, write] = next;
      this.#waiting.delete(key);
      const restMs = await this.#write(key, write);
      await delay(restMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Returns how long to rest afterwards. */
  async #write(key: string, write: Write): Promise<number> {
    const { log, name, perSecond } = this.#options;
    const { signal } = this.#stop;
    try {
      await write(signal);
      this.written += 1;
      this.#forbidden.delete(key);
      if (this.#failures > 0) log.info('writes succeed again', { queue: name });
      this.#failures = 0;
    } catch (error) {
      if (signal.aborted) return 0;
      if (this.#isFinal(key, error)) {
        this.dropped += 1;
        this.#forbidden.delete(key);
        log.warn('a write was refused', { queue: name, key, error });
        return 1000 / perSecond;
      }
      // Something newer may have been asked for meanwhile.
      if (!this.#waiting.has(key)) this.#waiting.set(key, write);
      this.#failures += 1;
      if (this.#failures === 1) {
        log.warn('writes fail; they are tried again', { queue: name, error });
      }
      return backoffMs(this.#failures, RETRY, Math.random());
    }
    return 1000 / perSecond;
  }

  #dropOldest(): void {
    const [oldest] = this.#waiting.keys();
    if (oldest !== undefined) this.#waiting.delete(oldest);
    this.dropped += 1;
  }

  /** The server has understood and will not; it would say the same again. */
  #isFinal(key: string, error: unknown): boolean {
    const status = statusOf(error);
    if (status < 400 || status >= 500 || status === TOO_MANY_REQUESTS) return false;
    if (!UNKNOWN_OR_FORBIDDEN.includes(status)) return true;
    const tries = (this.#forbidden.get(key) ?? 0) + 1;
    this.#forbidden.set(key, tries);
    return tries >= MOST_TRIES_FORBIDDEN;
  }
}

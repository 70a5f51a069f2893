/**
 * Takes part in the election and says, at any moment, whether this replica leads.
 *
 * `isLeading` is a matter of time, not of news: it turns false by itself when the lease could not be
 * renewed, counted from before the request that renewed it last. Whoever writes asks it before each
 * write, and hears of both changes by `onChange`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Part } from '#common/lifecycle.ts';
import type { Logger } from '#common/log.ts';
import type { LeaseStore } from '../kube/lease-store.ts';
import {
  ELECTION_TIMES,
  mayTake,
  released,
  sight,
  taken,
  type ElectionTimes,
  type Sighting,
} from './election.ts';

export interface LeaderDeps {
  readonly lease: LeaseStore;
  /** Name of this replica; the others have other names. */
  readonly me: string;
  readonly log: Logger;
  readonly onChange?: (isLeading: boolean) => void;
  readonly times?: ElectionTimes;
}

export class Leader implements Part {
  readonly name = 'leader';
  readonly #deps: LeaderDeps;
  readonly #times: ElectionTimes;
  readonly #stop = new AbortController();
  #seen: Sighting | undefined;
  #leadsUntilMs = Number.NEGATIVE_INFINITY;
  #wasLeading = false;
  #expiry: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #trouble = '';

  constructor(deps: LeaderDeps) {
    this.#deps = deps;
    this.#times = deps.times ?? ELECTION_TIMES;
  }

  get isLeading(): boolean {
    return performance.now() < this.#leadsUntilMs;
  }

  /** Who leads as far as this replica knows; '' when nobody does. */
  get holder(): string {
    return this.#seen?.stored?.record.holder ?? '';
  }

  async start(): Promise<void> {
    this.#running = this.#run();
  }

  /** Gives the lease back, so that another leads at once. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    const stored = this.#seen?.stored;
    const held = this.isLeading;
    this.#lose();
    if (!held || stored === undefined) return;
    try {
      const record = released(stored.record, Date.now());
      await this.#deps.lease.write(record, stored, AbortSignal.timeout(this.#times.retryMs));
    } catch (error) {
      this.#deps.log.warn('the lease could not be given back; it runs out', { error });
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#attempt(signal);
        this.#trouble = '';
      } catch (error) {
        if (signal.aborted) return;
        this.#complain(error);
      }
      await delay(this.#times.retryMs, undefined, { signal }).catch(() => {});
    }
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    const { lease, me } = this.#deps;
    // The holder renews what it wrote; everybody else looks first.
    if (!this.isLeading)
      this.#seen = sight(this.#seen, await lease.read(signal), performance.now());
    const seen = this.#seen;
    if (seen === undefined || !mayTake(seen, me, performance.now())) return;
    const askedMs = performance.now();
    const { durationMs, renewMs } = this.#times;
    const record = taken(seen.stored?.record, me, { wallMs: Date.now(), durationMs });
    const written = await lease.write(record, seen.stored, signal);
    if (written === undefined) {
      this.#seen = undefined;
      this.#lose();
      return;
    }
    this.#seen = { stored: written, sinceMs: askedMs };
    this.#lead(askedMs + renewMs);
  }

  #lead(untilMs: number): void {
    this.#leadsUntilMs = untilMs;
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => this.#lose(), untilMs - performance.now()).unref();
    if (this.#wasLeading || !this.isLeading) return;
    this.#wasLeading = true;
    this.#deps.log.info('this replica leads', { replica: this.#deps.me });
    this.#deps.onChange?.(true);
  }

  #lose(): void {
    clearTimeout(this.#expiry);
    this.#leadsUntilMs = Number.NEGATIVE_INFINITY;
    if (!this.#wasLeading) return;
    this.#wasLeading = false;
    this.#deps.log.info('this replica leads no longer', { replica: this.#deps.me });
    this.#deps.onChange?.(false);
  }

  #complain(error: unknown): void {
    const trouble = error instanceof Error ? error.message : String(error);
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    this.#deps.log.warn('the lease cannot be read or renewed; trying again', { error });
  }
}

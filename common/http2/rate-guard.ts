/**
 * Counts what a peer does against the rates of `limits.ts`.
 *
 * A bucket holds at most its burst and fills by the clock, never by events, except where `earn` says
 * that work of our own entitles the peer to more.
 */
import type { Rate } from './limits.ts';

/** What can be earned at most: enough for a peer that tells of every kilobyte it reads. */
const MOST_EARNED = 65_536;

export class RateGuard {
  readonly #rate: Rate;
  #left: number;
  #filledAt: number;

  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#left = rate.burst;
    this.#filledAt = nowMs;
  }

  /** Takes one or more; false when so many are not left, which means that the peer is too fast. */
  spend(nowMs: number, events = 1): boolean {
    if (this.#left < events) this.#fill(nowMs);
    if (this.#left < events) return false;
    this.#left -= events;
    return true;
  }

  /** Adds to what is left, beyond what the clock gives. */
  earn(events: number): void {
    this.#left = Math.min(this.#left + events, this.#rate.burst + MOST_EARNED);
  }

  #fill(nowMs: number): void {
    const gained = (Math.max(0, nowMs - this.#filledAt) * this.#rate.perSecond) / 1000;
    this.#filledAt = nowMs;
    this.#left = Math.min(this.#left + gained, this.#rate.burst);
  }
}

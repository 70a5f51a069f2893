/** A bucket of permits that fills again with time: short bursts pass, a flood does not. */

export interface RateOptions {
  readonly burst: number;
  readonly perSecond: number;
}

export class Rate {
  readonly #options: RateOptions;
  #permits: number;
  #atMs: number;

  constructor(options: RateOptions, nowMs: number) {
    this.#options = options;
    this.#permits = options.burst;
    this.#atMs = nowMs;
  }

  /** Takes one permit; returns false when there is none. */
  take(nowMs: number): boolean {
    const { burst, perSecond } = this.#options;
    const seconds = Math.max(0, nowMs - this.#atMs) / 1000;
    this.#atMs = nowMs;
    this.#permits = Math.min(burst, this.#permits + seconds * perSecond);
    if (this.#permits < 1) return false;
    this.#permits -= 1;
    return true;
  }
}

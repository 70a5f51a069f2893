/**
 * Rate limits by the generic cell rate algorithm: for each key one time for each window, no queues,
 * no counters to reset.
 *
 * The whole limit may come at once (that is the window), and then one request for each part of it
 * that has passed. A request is admitted by all windows or charged to none.
 */

/** So many requests in so long. */
export interface RateWindow {
  readonly limit: number;
  readonly windowMs: number;
}

export interface RateDecision {
  readonly allowed: boolean;
  /** Until it is worth trying again; 0 when it was allowed. */
  readonly retryAfterMs: number;
  /** Of the window that is nearest to its limit. */
  readonly window: RateWindow;
  readonly remaining: number;
  /** Until that window is whole again. */
  readonly resetMs: number;
}

/** Keys that one limiter remembers: a key that asks for nothing is forgotten. */
const KEYS_MAX = 65_536;

/** The times at which the windows of a key are whole again. */
type Times = Float64Array;

export class RateLimiter {
  #windows: readonly RateWindow[];
  readonly #keys = new Map<string, Times>();
  #evicted = 0;

  /** There must be at least one window. */
  constructor(windows: readonly RateWindow[]) {
    this.#windows = windows;
  }

  get size(): number {
    return this.#keys.size;
  }

  /** How many keys were forgotten before their time, since too many others came. */
  get evicted(): number {
    return this.#evicted;
  }

  /** Changes the limits, as a lease does; as many windows as before. What was spent stays spent. */
  setWindows(windows: readonly RateWindow[]): void {
    if (windows.length !== this.#windows.length) throw new RangeError('Windows cannot come or go');
    this.#windows = windows;
  }

  /** Takes one request of `key`, or `cost` of them, at a time that never runs backwards. */
  take(key: string, nowMs: number, cost = 1): RateDecision {
    const times = this.#keys.get(key) ?? new Float64Array(this.#windows.length);
    let wait = 0;
    for (const [i, window] of this.#windows.entries()) {
      const next = Math.max(times[i] ?? 0, nowMs) + cost * stepOf(window);
      // A limit of 0, or a cost over the limit, never passes: whoever waits does so for the window.
      wait = Math.max(wait, Math.min(next - nowMs - window.windowMs, window.windowMs));
    }
    // What rounding leaves is not waited for.
    const allowed = wait < 1e-6;
    if (allowed) {
      for (const [i, window] of this.#windows.entries()) {
        times[i] = Math.max(times[i] ?? 0, nowMs) + cost * stepOf(window);
      }
      this.#keep(key, times, nowMs);
    }
    return this.#describe(times, nowMs, allowed ? 0 : wait);
  }

  #describe(times: Times, nowMs: number, wait: number): RateDecision {
    let found: Pick<RateDecision, 'window' | 'remaining' | 'resetMs'> | undefined;
    for (const [i, window] of this.#windows.entries()) {
      const resetMs = Math.max(0, (times[i] ?? 0) - nowMs);
      const remaining = Math.floor((window.windowMs - resetMs) / stepOf(window) + 1e-6);
      const isNearer =
        found === undefined ||
        remaining < found.remaining ||
        (remaining === found.remaining && resetMs > found.resetMs);
      if (isNearer) found = { window, remaining: Math.max(0, remaining), resetMs };
    }
    const [first = { limit: 0, windowMs: 0 }] = this.#windows;
    const { window, remaining, resetMs } = found ?? { window: first, remaining: 0, resetMs: 0 };
    return { allowed: wait === 0, retryAfterMs: wait, window, remaining, resetMs };
  }

  #keep(key: string, times: Times, nowMs: number): void {
    // The youngest stand last, so what is forgotten first has not asked for longest.
    this.#keys.delete(key);
    if (this.#keys.size >= KEYS_MAX) this.#forget(nowMs);
    this.#keys.set(key, times);
  }

  #forget(nowMs: number): void {
    let looked = 0;
    for (const [key, times] of this.#keys) {
      looked += 1;
      const isWhole = times.every((time) => time <= nowMs);
      if (!isWhole && looked > 1) break;
      if (!isWhole) this.#evicted += 1;
      this.#keys.delete(key);
      if (looked >= 64) break;
    }
  }
}

/** Headers that tell a client where it stands (RateLimit fields for HTTP), and when to come back. */
export function rateLimitHeaders(
  name: string,
  decision: RateDecision,
): (readonly [name: string, value: string])[] {
  const { window, remaining, resetMs, retryAfterMs, allowed } = decision;
  const quoted = `"${name.replaceAll(/[^A-Za-z0-9_./-]/g, '_')}"`;
  const seconds = (ms: number): number => Math.ceil(ms / 1000);
  const headers: (readonly [string, string])[] = [
    ['ratelimit-policy', `${quoted};q=${window.limit};w=${seconds(window.windowMs)}`],
    ['ratelimit', `${quoted};r=${remaining};t=${seconds(resetMs)}`],
  ];
  if (!allowed) headers.push(['retry-after', `${Math.max(1, seconds(retryAfterMs))}`]);
  return headers;
}

/** Milliseconds that one request costs; a limit of 0 admits nothing. */
function stepOf({ limit, windowMs }: RateWindow): number {
  return limit > 0 ? windowMs / limit : Infinity;
}

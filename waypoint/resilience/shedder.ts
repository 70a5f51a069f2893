/**
 * Sheds load when the waypoint itself is late: some requests are refused at once, so that the others
 * are answered in time.
 *
 * It goes by the least lateness of an interval: a burst that is worked off within it sheds nothing,
 * only a queue that stands does.
 */

const INTERVAL_MS = 100;
const LATE_MS = 20;
const STEP_UP = 0.1;
const STEP_DOWN = 0.05;
const SHARE_MAX = 0.9;

export class Shedder {
  #share = 0;
  #least = Infinity;
  #intervalEndMs: number;

  constructor(nowMs: number) {
    this.#intervalEndMs = nowMs + INTERVAL_MS;
  }

  /** The share of requests that is refused at the moment. */
  get share(): number {
    return this.#share;
  }

  /** Takes note of how late a piece of work began. */
  observe(latenessMs: number, nowMs: number): void {
    this.#least = Math.min(this.#least, latenessMs);
    if (nowMs < this.#intervalEndMs) return;
    const isLate = this.#least > LATE_MS;
    this.#share = isLate
      ? Math.min(SHARE_MAX, this.#share + STEP_UP)
      : Math.max(0, this.#share - STEP_DOWN);
    this.#least = Infinity;
    this.#intervalEndMs = nowMs + INTERVAL_MS;
  }

  /** Says whether a request is taken, by a draw from 0 to below 1. */
  admits(draw: number): boolean {
    return draw >= this.#share;
  }
}

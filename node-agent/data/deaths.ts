/**
 * How soon a data worker that died is started again: at once, but no machine is kept busy with dying.
 *
 * Three deaths within a minute, of whichever workers, are no accident: from then on each start waits,
 * until a minute has passed without one. Pure; the caller has the clock.
 */
export const DEATHS_MINUTE_MS = 60_000;
export const MOST_DEATHS = 3;
/** From the third death within a minute on. */
export const RESTART_PAUSE_MS = 10_000;

export interface Sentence {
  readonly pauseMs: number;
  /** It happens again and again: people should hear of it. */
  readonly isRepeated: boolean;
}

export class Deaths {
  #times: number[] = [];
  #count = 0;

  /** All that there ever were. */
  get count(): number {
    return this.#count;
  }

  note(nowMs: number): Sentence {
    this.#count += 1;
    this.#times = [...this.#recent(nowMs), nowMs].slice(-MOST_DEATHS);
    const isRepeated = this.#times.length >= MOST_DEATHS;
    return { pauseMs: isRepeated ? RESTART_PAUSE_MS : 0, isRepeated };
  }

  /** Whether a minute has passed without one. */
  isQuiet(nowMs: number): boolean {
    return this.#recent(nowMs).length === 0;
  }

  #recent(nowMs: number): number[] {
    return this.#times.filter((at) => nowMs - at < DEATHS_MINUTE_MS);
  }
}

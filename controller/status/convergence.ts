/**
 * How long a version of the mesh takes to be in force: at each agent, and at all that are connected.
 *
 * An agent that is brought up to date after it was away is not counted: it had the version as soon as
 * it could. Versions that were passed over count as applied with the later one.
 */

export interface ConvergenceSinks {
  /** Seconds from the change to one agent's word that it is in force there. */
  readonly pushed: (seconds: number) => void;
  /** Seconds from the change until it was in force at every agent. */
  readonly converged: (seconds: number) => void;
}

/** Versions that are waited for; beyond it the oldest are given up. */
const MOST_OPEN = 4096;
/** A version that is older is of no use to measure by: somebody was away. */
const OLDEST_MS = 10 * 60_000;

export class Convergence {
  readonly #sinks: ConvergenceSinks;
  /** When each version was made, oldest first; those in force everywhere are gone. */
  readonly #madeMs = new Map<number, number>();

  constructor(sinks: ConvergenceSinks) {
    this.#sinks = sinks;
  }

  /** Versions that are not in force everywhere. */
  get open(): number {
    return this.#madeMs.size;
  }

  made(version: number, nowMs: number): void {
    this.#madeMs.set(version, nowMs);
    const [oldest] = this.#madeMs.keys();
    if (this.#madeMs.size > MOST_OPEN && oldest !== undefined) this.#madeMs.delete(oldest);
  }

  /** One agent has applied `version`. */
  applied(version: number, nowMs: number): void {
    const madeMs = this.#madeMs.get(version);
    if (madeMs !== undefined && nowMs - madeMs < OLDEST_MS) {
      this.#sinks.pushed((nowMs - madeMs) / 1000);
    }
  }

  /** No agent stands below this version. */
  everywhere(version: number, nowMs: number): void {
    for (const [one, atMs] of this.#madeMs) {
      if (one > version) break;
      this.#madeMs.delete(one);
      if (nowMs - atMs < OLDEST_MS) this.#sinks.converged((nowMs - atMs) / 1000);
    }
  }
}

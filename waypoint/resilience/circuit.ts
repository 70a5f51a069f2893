/**
 * Limits on what is under way to one service: connections, requests that wait for one, requests,
 * retries. What goes beyond is refused at once, since waiting in a queue without end helps nobody.
 */
import type { CircuitLimits } from '#common/mesh/backend-policy.ts';

export type CircuitKind = keyof CircuitLimits;

export class Circuit {
  limits: CircuitLimits;
  readonly #used: Record<CircuitKind, number> = {
    connections: 0,
    pending: 0,
    requests: 0,
    retries: 0,
  };

  constructor(limits: CircuitLimits) {
    this.limits = limits;
  }

  /** Takes a place; false when none is left. `leave` must follow a true. */
  enter(kind: CircuitKind): boolean {
    if (this.#used[kind] >= this.limits[kind]) return false;
    this.#used[kind] += 1;
    return true;
  }

  leave(kind: CircuitKind): void {
    if (this.#used[kind] === 0) throw new RangeError(`More ${kind} have left than had entered`);
    this.#used[kind] -= 1;
  }

  used(kind: CircuitKind): number {
    return this.#used[kind];
  }
}

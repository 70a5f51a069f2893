/**
 * How a connection waits for the agent of the only endpoint that it has.
 *
 * A pod that joins the mesh is spoken to through its tunnel from the moment that it is labelled, and
 * its agent listens some tens of milliseconds later; an agent that has died listens again within a
 * second. To be refused meanwhile is no answer of the pod's, so it is asked again for a while, and
 * never in clear.
 */
import type { Loop, Task } from '#common/engine/loop.ts';
import type { Timer } from '#common/engine/timers.ts';
import type { MeshError } from '#common/errors.ts';
import * as limits from './limits.ts';

export class Patience implements Task {
  readonly #loop: Loop;
  readonly #again: () => void;
  #until: number | undefined;
  #timer: Timer | undefined;

  /** `again` is called each time that a wait is over. */
  constructor(loop: Loop, again: () => void) {
    this.#loop = loop;
    this.#again = again;
  }

  /** Whether there has been a failure that was worth a wait. */
  get hasBegun(): boolean {
    return this.#until !== undefined;
  }

  /** Whether this failure of a tunnel is worth a wait, which then begins. */
  waits(error: MeshError): boolean {
    if (error.code !== 'CONNECT_FAILED' || error.details['errno'] !== 'ECONNREFUSED') return false;
    const { now, timers } = this.#loop;
    this.#until ??= now + limits.JOIN_PATIENCE_MS;
    if (now >= this.#until) return false;
    this.#timer = timers.after(limits.JOIN_LOOK_MS, this);
    return true;
  }

  run(): void {
    this.#timer = undefined;
    this.#again();
  }

  cancel(): void {
    if (this.#timer !== undefined) this.#loop.timers.cancel(this.#timer);
    this.#timer = undefined;
  }
}

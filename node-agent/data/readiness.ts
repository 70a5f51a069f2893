/**
 * Connections that came before their pod's own record or certificate did.
 *
 * They wait a bounded time in a bounded number and are decided anew when something has changed; so a
 * pod that starts a moment before the controller's word about it loses nothing.
 */
import type { Loop, Task } from '#common/engine/loop.ts';
import type { Timer } from '#common/engine/timers.ts';
import * as limits from './limits.ts';

export interface Expectant {
  /** Something has changed: decide anew, and wait again if need be. */
  onMaybeReady(): void;
  onGivenUp(): void;
}

export class Readiness {
  readonly #loop: Loop;
  readonly #timers = new Map<Expectant, Timer>();

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  get size(): number {
    return this.#timers.size;
  }

  /** Lets somebody wait, for `READINESS_TIMEOUT_MS` from the first time on; false when too many do. */
  wait(who: Expectant): boolean {
    if (this.#timers.has(who)) return true;
    if (this.#timers.size >= limits.MOST_WAITING) return false;
    const giveUp: Task = {
      run: () => {
        if (this.#timers.delete(who)) who.onGivenUp();
      },
    };
    this.#timers.set(who, this.#loop.timers.after(limits.READINESS_TIMEOUT_MS, giveUp));
    return true;
  }

  forget(who: Expectant): void {
    const timer = this.#timers.get(who);
    if (timer === undefined) return;
    this.#loop.timers.cancel(timer);
    this.#timers.delete(who);
  }

  /** Tells everybody to look again. Who has what it waited for calls `forget`. */
  changed(): void {
    for (const who of Array.from(this.#timers.keys())) {
      if (this.#timers.has(who)) who.onMaybeReady();
    }
  }
}

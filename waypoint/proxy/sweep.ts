/**
 * Looks at every connection about once a second for what it may have run out of, so that no message
 * has to set a timer.
 */
import type { Loop, Task } from '#common/engine/loop.ts';
import { TICK_MS } from './limits.ts';

export interface Ticking {
  onTick(now: number): void;
}

export class Sweep implements Task {
  readonly #loop: Loop;
  readonly #members = new Set<Ticking>();

  constructor(loop: Loop) {
    this.#loop = loop;
    loop.timers.after(TICK_MS, this);
  }

  get size(): number {
    return this.#members.size;
  }

  add(member: Ticking): void {
    this.#members.add(member);
  }

  delete(member: Ticking): void {
    this.#members.delete(member);
  }

  run(): void {
    this.#loop.timers.after(TICK_MS, this);
    for (const member of this.#members) {
      try {
        member.onTick(this.#loop.now);
      } catch (error) {
        this.#loop.report(error);
      }
    }
  }
}

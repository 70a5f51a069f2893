/**
 * Updates on their way into a worker's view, in the order in which they came.
 *
 * A change takes microseconds and is applied at once. A whole snapshot of a large mesh takes a third
 * of a second, in which no connection would move; it is built in portions beside the view in force,
 * with pauses in which the worker does its duty, and whatever came after it waits until it has taken
 * its place. A worker without connections has nobody to keep waiting and takes large portions.
 */
import { collectGarbage } from '#common/engine/collect.ts';
import type { Loop, Task } from '#common/engine/loop.ts';
import type { Steps } from '#common/mesh/steps.ts';
import { isSnapshot } from '#common/mesh/unpack.ts';
import type { Applied, View } from '#common/mesh/view.ts';
import * as limits from './limits.ts';
import type { LiveConnections } from './live.ts';

export interface UpdatesDeps {
  readonly loop: Loop;
  readonly view: View;
  readonly live: Pick<LiveConnections, 'isEmpty'>;
  /** The view is another. */
  readonly applied: (applied: Applied) => void;
  /** An update was damaged; the view is what it was. */
  readonly failed: (error: unknown) => void;
}

export class Updates implements Task {
  readonly #deps: UpdatesDeps;
  /** Packed updates, and who waits for those before him. */
  readonly #waiting: (Uint8Array | (() => void))[] = [];
  #building: Steps<Applied> | undefined;

  constructor(deps: UpdatesDeps) {
    this.#deps = deps;
  }

  add(packed: Uint8Array): void {
    this.#waiting.push(packed);
    this.#next();
  }

  /** Tells when all that was added so far is in force, or has failed. */
  whenApplied(tell: () => void): void {
    this.#waiting.push(tell);
    this.#next();
  }

  /** The next portion of what is being built. */
  run(): void {
    const { live } = this.#deps;
    const portion = live.isEmpty ? limits.LARGE_PORTION_MS : limits.PORTION_MS;
    const until = performance.now() + portion;
    try {
      do {
        const step = this.#building?.next();
        if (step === undefined) return;
        if (step.done === true) {
          this.#built(step.value);
          return;
        }
      } while (performance.now() < until);
      this.#pause();
    } catch (error) {
      this.#building = undefined;
      this.#deps.failed(error);
      this.#next();
    }
  }

  #built(applied: Applied): void {
    this.#building = undefined;
    this.#deps.applied(applied);
    // Nobody waits for a worker without connections, as when an agent has just begun.
    if (this.#deps.live.isEmpty) collectGarbage();
    this.#next();
  }

  #next(): void {
    const { view, applied, failed } = this.#deps;
    while (this.#building === undefined) {
      const first = this.#waiting.shift();
      if (first === undefined) return;
      if (typeof first === 'function') {
        first();
      } else if (isSnapshot(first) && first.length > limits.AT_ONCE_BYTES) {
        this.#building = view.applying(first);
        this.#pause();
      } else {
        try {
          applied(view.apply(first));
        } catch (error) {
          failed(error);
        }
      }
    }
  }

  #pause(): void {
    const { loop, live } = this.#deps;
    if (live.isEmpty) loop.soon(this);
    else loop.paced(limits.PORTION_EVERY_MS, this);
  }
}

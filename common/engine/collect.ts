/**
 * Collects a thread's garbage now, for the rare moment when a great deal of it was made at once.
 *
 * A whole snapshot leaves hundreds of megabytes behind, and V8 lets them lie until somebody allocates
 * as much again, which an agent hardly does. Nothing else in the thread goes on meanwhile: a tenth of
 * a second, so it is not for a thread with connections.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimHeap } from '../sys/heap.ts';

/** Gives the memory back to the kernel as well. */
const LAST_RESORT = { type: 'major', execution: 'sync', flavor: 'last-resort' };

let collect: (() => void) | undefined;

export function collectGarbage(): void {
  if (collect === undefined) {
    // The flag is read when a context is made; existing ones do not get a global of that name.
    setFlagsFromString('--expose-gc');
    const found: unknown = runInNewContext('gc');
    setFlagsFromString('--no-expose-gc');
    collect =
      typeof found === 'function'
        ? () => void Reflect.apply(found, undefined, [LAST_RESORT])
        : () => {};
  }
  collect();
  trimHeap();
}

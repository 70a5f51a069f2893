/**
 * Work that can be put down between steps, so that a thread with other duties does it in portions.
 *
 * A step is small: some tens of microseconds. Nothing of the result is seen before the last one.
 */

export type Steps<T> = Generator<void, T>;

/** Many small things make one step. */
export const PER_STEP = 8;

/** Does all of it now. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** Does something with each item. */
export function* eachInSteps<T>(items: Iterable<T>, act: (item: T) => void): Steps<void> {
  let taken = 0;
  for (const item of items) {
    act(item);
    taken += 1;
    if (taken % PER_STEP === 0) yield;
  }
}

/** Makes something of each item. */
export function* mapInSteps<T, U>(items: Iterable<T>, make: (item: T) => U): Steps<U[]> {
  const made: U[] = [];
  yield* eachInSteps(items, (item) => made.push(make(item)));
  return made;
}

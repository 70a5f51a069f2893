/**
 * Values that many rows share, each kept once: a row holds a small number instead.
 *
 * Rows are counted by whoever uses them (`count`); a value that nobody counts goes at the next
 * `sweep`, not before, so within one change a value may lose its last row and gain another.
 */
export interface Pooled {
  readonly id: number;
  readonly key: string;
  count: number;
}

export class Pool<T extends Pooled> {
  readonly #values: (T | undefined)[] = [];
  readonly #byKey = new Map<string, T>();
  readonly #freeIds: number[] = [];
  readonly #empty = new Set<T>();

  /** Returns the value with this key, made if there is none. */
  intern(key: string, make: (id: number, key: string) => T): T {
    const old = this.#byKey.get(key);
    if (old !== undefined) return old;
    const id = this.#freeIds.pop() ?? this.#values.length;
    const value = make(id, key);
    this.#values[id] = value;
    this.#byKey.set(key, value);
    this.#empty.add(value);
    return value;
  }

  at(id: number): T {
    const value = this.#values[id];
    if (value === undefined) throw new RangeError(`Nothing is pooled as ${id}`);
    return value;
  }

  /** Counts one row less. */
  release(value: T): void {
    value.count -= 1;
    if (value.count === 0) this.#empty.add(value);
  }

  /** Forgets the values without rows, telling `forget` of each. */
  sweep(forget?: (value: T) => void): void {
    for (const value of this.#empty) {
      if (value.count > 0) continue;
      this.#values[value.id] = undefined;
      this.#freeIds.push(value.id);
      this.#byKey.delete(value.key);
      forget?.(value);
    }
    this.#empty.clear();
  }

  *[Symbol.iterator](): Generator<T> {
    for (const value of this.#byKey.values()) yield value;
  }
}

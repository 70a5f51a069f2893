/**
 * Values that many rows share, each kept once: a row holds a small number instead.
 *
 * Values are alike when they are spelt alike. Their spelling, which is longer than they are, is not
 * kept: they are found by its hash, and spelt again to be certain. Rows are counted by whoever uses
 * them (`count`); a value that nobody counts goes at the next `sweep`, not before, so within one
 * change a value may lose its last row and gain another.
 */
import { MultiMap } from './multi-map.ts';

export interface Pooled {
  readonly id: number;
  /** Of its spelling. */
  readonly hash: number;
  count: number;
}

export class Pool<T extends Pooled & F, F> {
  readonly #spell: (fields: F) => string;
  readonly #values: (T | undefined)[] = [];
  readonly #byHash = new MultiMap<number, T>();
  readonly #freeIds: number[] = [];
  readonly #empty = new Set<T>();

  constructor(spell: (fields: F) => string) {
    this.#spell = spell;
  }

  /** Returns the value with these fields, made if there is none. */
  intern(fields: F, make: (id: number, hash: number) => T): T {
    const spelling = this.#spell(fields);
    const hash = hashOf(spelling);
    for (const old of this.#byHash.get(hash)) if (this.#spell(old) === spelling) return old;
    const id = this.#freeIds.pop() ?? this.#values.length;
    const value = make(id, hash);
    this.#values[id] = value;
    this.#byHash.add(hash, value);
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
      this.#byHash.remove(value.hash, value);
      forget?.(value);
    }
    this.#empty.clear();
  }
}

/** FNV-1a in 30 bits, which V8 keeps without a box. */
function hashOf(spelling: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < spelling.length; i += 1) {
    hash = Math.imul(hash ^ spelling.charCodeAt(i), 0x01000193);
  }
  return (hash ^ (hash >>> 15)) & 0x3fff_ffff;
}

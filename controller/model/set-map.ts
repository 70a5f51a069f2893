/** A map from a key to a set of strings. An empty set is never kept, so a lookup costs no memory. */
const NONE: ReadonlySet<string> = new Set();

export class SetMap {
  readonly #sets = new Map<string, Set<string>>();

  get(key: string): ReadonlySet<string> {
    return this.#sets.get(key) ?? NONE;
  }

  /** Adds the value, or takes it out when `isThere` is false. */
  put(key: string, value: string, isThere: boolean): void {
    const set = this.#sets.get(key);
    if (isThere) {
      if (set === undefined) this.#sets.set(key, new Set([value]));
      else set.add(value);
    } else if (set?.delete(value) === true && set.size === 0) {
      this.#sets.delete(key);
    }
  }

  keys(): IterableIterator<string> {
    return this.#sets.keys();
  }
}

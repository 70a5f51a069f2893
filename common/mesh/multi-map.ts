/**
 * Values by key, where nearly every key has one: that one is kept as it is, without a set around it.
 *
 * A set takes some 200 bytes, which is more than most of what a view keeps about a service.
 */
type Held<V> = V | Several<V>;

class Several<V> {
  readonly values = new Set<V>();
}

export class MultiMap<K, V> {
  readonly #held = new Map<K, Held<V>>();

  /** How many keys have a value. */
  get size(): number {
    return this.#held.size;
  }

  keys(): Iterable<K> {
    return this.#held.keys();
  }

  /** The values of a key, in the order in which they came. */
  get(key: K): Iterable<V> {
    const held = this.#held.get(key);
    if (held === undefined) return [];
    return held instanceof Several ? held.values : [held];
  }

  add(key: K, value: V): void {
    const held = this.#held.get(key);
    if (held === undefined) {
      this.#held.set(key, value);
    } else if (held instanceof Several) {
      held.values.add(value);
    } else if (held !== value) {
      const several = new Several<V>();
      several.values.add(held).add(value);
      this.#held.set(key, several);
    }
  }

  remove(key: K, value: V): void {
    const held = this.#held.get(key);
    if (!(held instanceof Several)) {
      if (held === value) this.#held.delete(key);
      return;
    }
    held.values.delete(value);
    const [last] = held.values;
    if (held.values.size === 1 && last !== undefined) this.#held.set(key, last);
  }
}

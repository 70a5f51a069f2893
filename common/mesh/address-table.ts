/**
 * Which rows of the workload table have an address, in 32 bytes or so for each address.
 *
 * A hash table with chains in typed arrays. Several rows may share an address (the old pod and the
 * new one, for a moment); all are kept, and the caller says which one counts. The entries of one row
 * are chained as well, in the order in which they were added, indexed or not.
 */

const NONE = -1;
/** What a new table may grow by before its columns must. */
const HEADROOM = 1.05;
const MIN_CAPACITY = 64;

export class AddressTable {
  /** Four words an entry: an address as 16 bytes. */
  #words = new Int32Array(0);
  #row = new Int32Array(0);
  /** Next in the same bucket; of a free entry, the next free one. */
  #next = new Int32Array(0);
  /** Next of the same row. */
  #sibling = new Int32Array(0);
  #buckets = new Int32Array(0);
  #free = NONE;
  #used = 0;

  constructor(expected = 0) {
    this.#resize(Math.max(MIN_CAPACITY, Math.ceil(expected * HEADROOM)));
  }

  get bytes(): number {
    return [this.#words, this.#row, this.#next, this.#sibling, this.#buckets].reduce(
      (sum, { byteLength }) => sum + byteLength,
      0,
    );
  }

  /** Adds an address of `row`, before the entries in `rest`; returns the head of the row's chain. */
  add(address: Uint8Array, row: number, rest: number, indexed: boolean): number {
    const entry = this.#take();
    for (let i = 0; i < 4; i += 1) this.#words[4 * entry + i] = wordOf(address, i);
    this.#row[entry] = indexed ? row : ~row;
    this.#sibling[entry] = rest;
    if (indexed) this.#link(entry);
    return entry;
  }

  /** Removes a whole chain that `add` built. */
  remove(head: number): void {
    for (let entry = head; entry !== NONE;) {
      const sibling = this.#sibling[entry] ?? NONE;
      if ((this.#row[entry] ?? NONE) >= 0) this.#unlink(entry);
      this.#next[entry] = this.#free;
      this.#free = entry;
      entry = sibling;
    }
  }

  /** Lists the rows that have this address. */
  rowsAt(address: Uint8Array): number[] {
    const rows: number[] = [];
    const [a, b, c, d] = [0, 1, 2, 3].map((i) => wordOf(address, i));
    const bucket = this.#bucket(a ?? 0, b ?? 0, c ?? 0, d ?? 0);
    for (let e = this.#buckets[bucket] ?? NONE; e !== NONE; e = this.#next[e] ?? NONE) {
      const at = 4 * e;
      const words = this.#words;
      if (words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d) {
        rows.push(this.#row[e] ?? NONE);
      }
    }
    return rows;
  }

  /** Lists the addresses of a chain, 16 bytes each, in the order of the chain. */
  chain(head: number): Uint8Array[] {
    const addresses: Uint8Array[] = [];
    for (let entry = head; entry !== NONE; entry = this.#sibling[entry] ?? NONE) {
      const address = new Uint8Array(16);
      for (let i = 0; i < 16; i += 1) {
        address[i] = (this.#words[4 * entry + (i >> 2)] ?? 0) >>> (24 - 8 * (i & 3));
      }
      addresses.push(address);
    }
    return addresses;
  }

  #take(): number {
    if (this.#free !== NONE) {
      const entry = this.#free;
      this.#free = this.#next[entry] ?? NONE;
      return entry;
    }
    if (this.#used === this.#row.length) this.#resize(Math.ceil(this.#used * 1.25));
    this.#used += 1;
    return this.#used - 1;
  }

  #link(entry: number): void {
    const bucket = this.#bucketOf(entry);
    this.#next[entry] = this.#buckets[bucket] ?? NONE;
    this.#buckets[bucket] = entry;
  }

  #unlink(entry: number): void {
    const bucket = this.#bucketOf(entry);
    const next = this.#next[entry] ?? NONE;
    if (this.#buckets[bucket] === entry) {
      this.#buckets[bucket] = next;
      return;
    }
    let before = this.#buckets[bucket] ?? NONE;
    while (before !== NONE && this.#next[before] !== entry) before = this.#next[before] ?? NONE;
    if (before !== NONE) this.#next[before] = next;
  }

  #bucketOf(entry: number): number {
    const [words, at] = [this.#words, 4 * entry];
    return this.#bucket(words[at] ?? 0, words[at + 1] ?? 0, words[at + 2] ?? 0, words[at + 3] ?? 0);
  }

  #bucket(a: number, b: number, c: number, d: number): number {
    let hash = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b);
    hash ^= Math.imul(c, 0xc2b2ae35) ^ Math.imul(d, 0x27d4eb2f);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    return (hash ^ (hash >>> 13)) & (this.#buckets.length - 1);
  }

  #resize(capacity: number): void {
    this.#words = grown(this.#words, 4 * capacity);
    this.#row = grown(this.#row, capacity);
    this.#next = grown(this.#next, capacity);
    this.#sibling = grown(this.#sibling, capacity);
    const buckets = 2 ** Math.ceil(Math.log2(capacity));
    if (buckets === this.#buckets.length) return;
    this.#buckets = new Int32Array(buckets).fill(NONE);
    // Nothing is free when the table grows, so every entry that is indexed is alive.
    for (let entry = 0; entry < this.#used; entry += 1) {
      if ((this.#row[entry] ?? NONE) >= 0) this.#link(entry);
    }
  }
}

function wordOf(bytes: Uint8Array, i: number): number {
  const at = 4 * i;
  return (
    ((bytes[at] ?? 0) << 24) |
    ((bytes[at + 1] ?? 0) << 16) |
    ((bytes[at + 2] ?? 0) << 8) |
    (bytes[at + 3] ?? 0)
  );
}

function grown(old: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const array = new Int32Array(length);
  array.set(old);
  return array;
}

/**
 * Uids as bytes in one arena, and the row that each has: 60 bytes or so where a string in a Map takes
 * 150. A row keeps its number until its uid is removed; then the number is used again.
 *
 * Bytes of removed uids stay in the arena until they are half of it; then it is written anew.
 */
import { textAt } from './bytes.ts';

const NONE = -1;
/** What a new table may grow by before its columns must. */
const HEADROOM = 1.05;
const MIN_CAPACITY = 64;
const MIN_ARENA = 4096;

const encoder = new TextEncoder();

export class UidTable {
  #arena: Uint8Array;
  #arenaUsed = 0;
  #arenaDead = 0;
  #start = new Uint32Array(0);
  /** The name stands behind the uid when it is not the last part of it; length 0 when it is. */
  #uidLength = new Uint16Array(0);
  #nameLength = new Uint16Array(0);
  /** Next in the same bucket; of a free row, the next free one. */
  #next = new Int32Array(0);
  #buckets = new Int32Array(0);
  #free = NONE;
  #used = 0;
  #size = 0;

  constructor(expected = 0, expectedBytes = 0) {
    this.#resize(Math.max(MIN_CAPACITY, Math.ceil(expected * HEADROOM)));
    this.#arena = new Uint8Array(Math.max(MIN_ARENA, Math.ceil(expectedBytes * HEADROOM)));
  }

  /** How many rows there are. */
  get size(): number {
    return this.#size;
  }

  /** All rows that ever were are below this number. */
  get limit(): number {
    return this.#used;
  }

  get bytes(): number {
    return [
      this.#arena,
      this.#start,
      this.#uidLength,
      this.#nameLength,
      this.#next,
      this.#buckets,
    ].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  find(uid: string): number {
    const bytes = encoder.encode(uid);
    return this.findBytes(bytes, 0, bytes.length);
  }

  findBytes(bytes: Uint8Array, at: number, length: number): number {
    let row = this.#buckets[this.#bucket(bytes, at, length)] ?? NONE;
    while (row !== NONE && !this.#equals(row, bytes, at, length)) row = this.#next[row] ?? NONE;
    return row;
  }

  has(row: number): boolean {
    return row >= 0 && row < this.#used && (this.#uidLength[row] ?? 0) > 0;
  }

  /** Adds a uid that is not there, with the name that goes with it ('' for its last part). */
  add(bytes: Uint8Array, uid: Span, name: Span): number {
    const row = this.#take();
    this.#write(row, bytes, uid, name);
    const bucket = this.#bucket(bytes, uid.at, uid.length);
    this.#next[row] = this.#buckets[bucket] ?? NONE;
    this.#buckets[bucket] = row;
    this.#size += 1;
    return row;
  }

  remove(row: number): void {
    const start = this.#start[row] ?? 0;
    const length = this.#uidLength[row] ?? 0;
    const bucket = this.#bucket(this.#arena, start, length);
    const next = this.#next[row] ?? NONE;
    if (this.#buckets[bucket] === row) {
      this.#buckets[bucket] = next;
    } else {
      let before = this.#buckets[bucket] ?? NONE;
      while (before !== NONE && this.#next[before] !== row) before = this.#next[before] ?? NONE;
      if (before !== NONE) this.#next[before] = next;
    }
    this.#arenaDead += length + (this.#nameLength[row] ?? 0);
    this.#uidLength[row] = 0;
    this.#nameLength[row] = 0;
    this.#next[row] = this.#free;
    this.#free = row;
    this.#size -= 1;
  }

  uid(row: number): string {
    return textAt(this.#arena, this.#start[row] ?? 0, this.#uidLength[row] ?? 0);
  }

  /** Returns the name of a row, whose uid the caller knows already. */
  name(row: number, uid: string): string {
    const length = this.#nameLength[row] ?? 0;
    if (length === 0) return uid.slice(uid.lastIndexOf('/') + 1);
    return textAt(this.#arena, (this.#start[row] ?? 0) + (this.#uidLength[row] ?? 0), length);
  }

  /** Says whether the name of a row is the last part of its uid. */
  impliesName(row: number): boolean {
    return this.#nameLength[row] === 0;
  }

  #write(row: number, bytes: Uint8Array, uid: Span, name: Span): void {
    const length = uid.length + name.length;
    if (this.#arenaUsed + length > this.#arena.length) this.#makeRoom(length);
    this.#arena.set(bytes.subarray(uid.at, uid.at + uid.length), this.#arenaUsed);
    this.#arena.set(bytes.subarray(name.at, name.at + name.length), this.#arenaUsed + uid.length);
    this.#start[row] = this.#arenaUsed;
    this.#uidLength[row] = uid.length;
    this.#nameLength[row] = name.length;
    this.#arenaUsed += length;
  }

  #makeRoom(length: number): void {
    const alive = this.#arenaUsed - this.#arenaDead;
    const enough =
      this.#arenaDead > alive ? this.#arena.length : Math.ceil(this.#arena.length * 1.25);
    const arena = new Uint8Array(Math.max(enough, alive + length));
    let used = 0;
    for (let row = 0; row < this.#used; row += 1) {
      const start = this.#start[row] ?? 0;
      const end = start + (this.#uidLength[row] ?? 0) + (this.#nameLength[row] ?? 0);
      arena.set(this.#arena.subarray(start, end), used);
      this.#start[row] = used;
      used += end - start;
    }
    this.#arena = arena;
    this.#arenaUsed = used;
    this.#arenaDead = 0;
  }

  #equals(row: number, bytes: Uint8Array, at: number, length: number): boolean {
    if (this.#uidLength[row] !== length) return false;
    const start = this.#start[row] ?? 0;
    for (let i = 0; i < length; i += 1) {
      if (this.#arena[start + i] !== bytes[at + i]) return false;
    }
    return true;
  }

  #take(): number {
    if (this.#free !== NONE) {
      const row = this.#free;
      this.#free = this.#next[row] ?? NONE;
      return row;
    }
    if (this.#used === this.#next.length) this.#resize(Math.ceil(this.#used * 1.25));
    this.#used += 1;
    return this.#used - 1;
  }

  #bucket(bytes: Uint8Array, at: number, length: number): number {
    let hash = 0x811c9dc5;
    for (let i = at; i < at + length; i += 1) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    return (hash ^ (hash >>> 13)) & (this.#buckets.length - 1);
  }

  #resize(capacity: number): void {
    this.#start = grown(this.#start, new Uint32Array(capacity));
    this.#uidLength = grown(this.#uidLength, new Uint16Array(capacity));
    this.#nameLength = grown(this.#nameLength, new Uint16Array(capacity));
    this.#next = grown(this.#next, new Int32Array(capacity));
    const buckets = 2 ** Math.ceil(Math.log2(capacity));
    if (buckets === this.#buckets.length) return;
    this.#buckets = new Int32Array(buckets).fill(NONE);
    // Nothing is free when the table grows, so every row is alive.
    for (let row = 0; row < this.#used; row += 1) {
      const bucket = this.#bucket(this.#arena, this.#start[row] ?? 0, this.#uidLength[row] ?? 0);
      this.#next[row] = this.#buckets[bucket] ?? NONE;
      this.#buckets[bucket] = row;
    }
  }
}

/** A piece of a byte array. */
export interface Span {
  readonly at: number;
  readonly length: number;
}

function grown<T extends { set(from: T): void }>(old: T, array: T): T {
  array.set(old);
  return array;
}

/**
 * Bytes that the kernel has not taken yet, in the order in which they must leave.
 *
 * A queue that is empty holds no memory. What goes in is copied, except a whole slab that the
 * caller gives away; large chunks come from a small pool, so that a busy connection that stalls
 * again and again makes no garbage.
 */
import { EAGAIN, EINTR } from '../sys/constants.ts';
import { send } from '../sys/libc.ts';
import { newSlab } from '../sys/slab.ts';
import type { Slab } from '../sys/slab.ts';

interface Chunk {
  readonly slab: Slab;
  from: number;
  to: number;
}

const SMALL_BYTES = 2048;
const CHUNK_BYTES = 65_536;
const MAX_POOLED = 64;
const pool: Slab[] = [];

export class ByteQueue {
  readonly #chunks: Chunk[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Copies `bytes[from, to)` to the end of the queue. */
  append(bytes: Buffer, from: number, to: number): void {
    this.#length += to - from;
    let at = from;
    const last = this.#chunks.at(-1);
    if (last !== undefined) {
      const room = Math.min(last.slab.bytes.length - last.to, to - at);
      bytes.copy(last.slab.bytes, last.to, at, at + room);
      last.to += room;
      at += room;
    }
    while (at < to) {
      const slab =
        to - at <= SMALL_BYTES ? newSlab(SMALL_BYTES) : (pool.pop() ?? newSlab(CHUNK_BYTES));
      const part = Math.min(slab.bytes.length, to - at);
      bytes.copy(slab.bytes, 0, at, at + part);
      this.#chunks.push({ slab, from: 0, to: part });
      at += part;
    }
  }

  /** Sends as much as the kernel takes; returns 0, or a negated error number that is fatal. */
  drain(fd: number): number {
    for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
      const n = send(fd, chunk.slab, chunk.from, chunk.to - chunk.from);
      if (n < 0) return n === -EAGAIN ? 0 : n === -EINTR ? this.drain(fd) : n;
      chunk.from += n;
      this.#length -= n;
      if (chunk.from < chunk.to) return 0;
      this.#chunks.shift();
      giveBack(chunk.slab);
    }
    return 0;
  }

  /** Moves the first `length` bytes, of which there are at least so many, to `into` at `at`. */
  take(into: Buffer, at: number, length: number): void {
    let place = at;
    const end = at + length;
    for (let chunk = this.#chunks[0]; chunk !== undefined && place < end; chunk = this.#chunks[0]) {
      const part = Math.min(chunk.to - chunk.from, end - place);
      chunk.slab.bytes.copy(into, place, chunk.from, chunk.from + part);
      chunk.from += part;
      place += part;
      if (chunk.from < chunk.to) break;
      this.#chunks.shift();
      giveBack(chunk.slab);
    }
    this.#length -= length;
  }

  /** A copy of all that waits. */
  toBuffer(): Buffer {
    return Buffer.concat(this.#chunks.map(({ slab, from, to }) => slab.bytes.subarray(from, to)));
  }

  clear(): void {
    for (const chunk of this.#chunks) giveBack(chunk.slab);
    this.#chunks.length = 0;
    this.#length = 0;
  }
}

function giveBack(slab: Slab): void {
  if (slab.bytes.length === CHUNK_BYTES && pool.length < MAX_POOLED) pool.push(slab);
}

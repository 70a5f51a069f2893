/**
 * Bytes written and read in order: the alphabet of packed mesh updates.
 *
 * A reader never looks past its end and never believes a count: whatever does not fit throws
 * `MESSAGE_INVALID`, so a damaged or hostile buffer can fail, and do no more than that.
 */
import { MeshError } from '../errors.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** 2^53 - 1 takes eight groups of seven bits. */
const VARINT_MAX_BYTES = 8;

export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length] = value;
    this.#length += 1;
  }

  /** Writes a whole number from 0 to 2^53 - 1, seven bits a byte, lowest first. */
  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`${value} is not a whole number that can be packed`);
    }
    this.#reserve(VARINT_MAX_BYTES);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length] = (rest % 0x80) | 0x80;
      this.#length += 1;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length] = rest;
    this.#length += 1;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  text(value: string): void {
    const bytes = encoder.encode(value);
    this.varint(bytes.length);
    this.raw(bytes);
  }

  /** Hands over what has been written; the writer is done then. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

export class ByteReader {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  byte(): number {
    const value = this.bytes[this.at];
    if (value === undefined) throw invalid('it ends too early');
    this.at += 1;
    return value;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < VARINT_MAX_BYTES; i += 1) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 0x80;
    }
    throw invalid('a number is too large');
  }

  /** Reads a number that must be at most `limit`; `what` is for the message. */
  bounded(limit: number, what: string): number {
    const value = this.varint();
    if (value > limit) throw invalid(`${what} is ${value}, over ${limit}`);
    return value;
  }

  /** Reads how many things follow, of which each takes at least one byte. */
  count(what: string): number {
    return this.bounded(this.bytes.length - this.at, `the number of ${what}`);
  }

  /** Steps over `length` bytes and returns where they begin. */
  skip(length: number): number {
    const start = this.at;
    if (length > this.bytes.length - start) throw invalid('it ends too early');
    this.at = start + length;
    return start;
  }

  raw(length: number): Uint8Array {
    const start = this.skip(length);
    return this.bytes.subarray(start, start + length);
  }

  text(limit: number): string {
    const length = this.bounded(limit, 'the length of a text');
    const start = this.skip(length);
    return textAt(this.bytes, start, length);
  }

  end(): void {
    if (this.at !== this.bytes.length) throw invalid('it goes on after its end');
  }
}

/** Reads UTF-8; throws `MESSAGE_INVALID` when it is none. */
export function textAt(bytes: Uint8Array, start: number, length: number): string {
  const piece = bytes.subarray(start, start + length);
  for (const byte of piece) if (byte >= 0x80) return decoded(piece);
  // Made in one piece: what is put together letter by letter takes thirty bytes for each.
  return Reflect.apply(String.fromCharCode, undefined, piece);
}

export function invalid(what: string): MeshError {
  return new MeshError('MESSAGE_INVALID', `Cannot read a packed mesh update: ${what}`);
}

function decoded(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new MeshError('MESSAGE_INVALID', 'Cannot read a packed mesh update: a text is no UTF-8', {
      cause,
    });
  }
}

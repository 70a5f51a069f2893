/**
 * What the load of a fault test sends: frames that say what they carry, and a hash of it.
 *
 * A frame is one line of words and then a body. Whoever receives it works out the body's SHA-256, so
 * that a byte lost, doubled or changed is seen at the frame where it happened. Every packet of a body
 * holds the marker that a wire watch looks for.
 */
import { createHash, randomBytes, type Hash } from 'node:crypto';
import { MARKER } from '../helpers/wire-watch.ts';

const POOL_BYTES = 2 << 20;
/** Closer than the payload of one packet. */
const MARKER_EVERY = 512;
const NEWLINE = 0x0a;

const pool = makePool();

/** Some bytes that differ from call to call. */
export function body(length: number): Buffer {
  const at = Math.floor(Math.random() * (POOL_BYTES - length));
  return pool.subarray(at, at + length);
}

export function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The head of a frame; its first word is the length of the body. */
export function head(length: number, ...words: readonly string[]): string {
  return `${MARKER} ${length} ${words.join(' ')}\n`;
}

/** Takes a stream apart into frames; throws when it is none of ours. */
export class Frames {
  readonly #onFrame: (words: readonly string[], hash: string) => void;
  #line: Buffer = Buffer.alloc(0);
  #words: readonly string[] = [];
  #left = 0;
  #hash: Hash | undefined;

  constructor(onFrame: (words: readonly string[], hash: string) => void) {
    this.#onFrame = onFrame;
  }

  /** Nothing of a frame has come that is not whole. */
  get isBetween(): boolean {
    return this.#hash === undefined && this.#line.length === 0;
  }

  take(chunk: Buffer): void {
    for (let rest = chunk; rest.length > 0;) {
      rest = this.#hash === undefined ? this.#takeHead(rest) : this.#takeBody(rest, this.#hash);
    }
  }

  #takeHead(chunk: Buffer): Buffer {
    const end = chunk.indexOf(NEWLINE);
    if (end < 0) {
      this.#line = Buffer.concat([this.#line, chunk]);
      return chunk.subarray(chunk.length);
    }
    const line = Buffer.concat([this.#line, chunk.subarray(0, end)]).toString('latin1');
    const [marker, length, ...words] = line.split(' ');
    if (marker !== MARKER || !/^\d{1,8}$/.test(length ?? '')) throw new Error('not a frame');
    this.#line = Buffer.alloc(0);
    this.#words = words;
    this.#left = Number(length);
    this.#hash = createHash('sha256');
    return this.#takeBody(chunk.subarray(end + 1), this.#hash);
  }

  #takeBody(chunk: Buffer, hash: Hash): Buffer {
    const here = chunk.subarray(0, this.#left);
    hash.update(here);
    this.#left -= here.length;
    if (this.#left > 0) return chunk.subarray(chunk.length);
    this.#hash = undefined;
    this.#onFrame(this.#words, hash.digest('hex'));
    return chunk.subarray(here.length);
  }
}

function makePool(): Buffer {
  const bytes = randomBytes(POOL_BYTES);
  for (let at = 0; at + MARKER_EVERY < POOL_BYTES; at += MARKER_EVERY) bytes.write(MARKER, at);
  return bytes;
}

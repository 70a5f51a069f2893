/**
 * Reads the body of one message: by length, in chunks, or until the connection ends.
 *
 * Content is handed on where it stands, as far as it has come. Chunk sizes are hexadecimal digits and
 * nothing else; extensions are passed over within a bound and never sent on; every line ends with
 * CR LF. Trailers are read like any fields, and those that would frame or route are refused.
 */
import { HEX_VALUE, TOKEN } from './characters.ts';
import { FAULT, type Fault } from './fault.ts';
import { FieldBlock } from './field-block.ts';
import { MAX_CHUNK_DIGITS, MAX_CHUNK_LINE_BYTES, MAX_HEAD_BYTES } from './limits.ts';
import { MAY_NOT_TRAIL } from './names.ts';

export type BodyKind = 'none' | 'length' | 'chunked' | 'close' | 'tunnel';

export interface BodySink {
  /** Content came; the bytes are lent for this call only. */
  onBody(bytes: Buffer, from: number, to: number): void;
}

type State = 'size' | 'extension' | 'sizeEnd' | 'data' | 'dataCr' | 'dataLf' | 'trailers' | 'done';

const CR = 13;
const LF = 10;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const FIRST_COLLECTED = 1024;

export class BodyReader {
  kind: BodyKind = 'none';
  fault: Fault | undefined;
  readonly #sink: BodySink;
  #state: State = 'done';
  /** Bytes of the body, or of the chunk at hand, that are still to come. */
  #left = 0;
  #digits = 0;
  #lineBytes = 0;
  /** In a chunk extension: a token stands right before; it is a value. */
  #hasToken = false;
  #isInValue = false;
  /** Made at the first message with trailers. */
  #trailers: FieldBlock | undefined;
  #hasTrailers = false;
  #collected: Buffer | undefined;
  #filled = 0;

  constructor(sink: BodySink) {
    this.#sink = sink;
  }

  get isDone(): boolean {
    return this.#state === 'done' && this.fault === undefined;
  }

  /** The fields behind the last chunk, when there were any; valid until the next message. */
  get trailers(): FieldBlock | undefined {
    return this.#hasTrailers ? this.#trailers : undefined;
  }

  begin(kind: BodyKind, length: number): void {
    this.kind = kind;
    this.fault = undefined;
    this.#hasTrailers = false;
    this.#left = length;
    this.#filled = 0;
    if (kind === 'none' || (kind === 'length' && length === 0)) this.#state = 'done';
    else if (kind === 'chunked') this.#beginSize();
    else this.#state = 'data';
  }

  /** The connection has ended: whether the body may end there. */
  endsHere(): boolean {
    if (this.kind === 'close' || this.kind === 'tunnel') {
      this.#state = 'done';
      return true;
    }
    return this.isDone;
  }

  /** Reads on; returns where it has stopped: at `to`, or behind the body. -1 when it is faulty. */
  read(bytes: Buffer, from: number, to: number): number {
    if (this.kind === 'length') return this.#read(bytes, from, to);
    if (this.kind === 'close' || this.kind === 'tunnel') {
      if (to > from) this.#sink.onBody(bytes, from, to);
      return to;
    }
    let at = from;
    while (at < to && this.#state !== 'done') {
      at = this.#step(bytes, at, to);
      if (at < 0) return -1;
    }
    return at;
  }

  #read(bytes: Buffer, from: number, to: number): number {
    const end = Math.min(to, from + this.#left);
    this.#left -= end - from;
    if (this.#left === 0) this.#state = this.kind === 'length' ? 'done' : 'dataCr';
    if (end > from) this.#sink.onBody(bytes, from, end);
    return end;
  }

  #step(bytes: Buffer, at: number, to: number): number {
    switch (this.#state) {
      case 'size':
        return this.#size(bytes, at, to);
      case 'extension':
        return this.#extension(bytes, at, to);
      case 'sizeEnd':
        if (bytes[at] !== LF) return this.#refuse(FAULT.lineEnd);
        this.#state = this.#left > 0 ? 'data' : 'trailers';
        this.#trailers?.begin(0);
        return at + 1;
      case 'data':
        return this.#read(bytes, at, to);
      case 'dataCr':
        if (bytes[at] !== CR) return this.#refuse(FAULT.chunkEnd);
        this.#state = 'dataLf';
        return at + 1;
      case 'dataLf':
        if (bytes[at] !== LF) return this.#refuse(FAULT.chunkEnd);
        this.#beginSize();
        return at + 1;
      case 'trailers':
        return this.#readTrailers(bytes, at, to);
      case 'done':
        break;
    }
    return at;
  }

  #beginSize(): void {
    this.#state = 'size';
    this.#left = 0;
    this.#digits = 0;
    this.#lineBytes = 0;
    this.#hasToken = false;
    this.#isInValue = false;
  }

  #size(bytes: Buffer, from: number, to: number): number {
    for (let at = from; at < to; at += 1) {
      const octet = bytes[at] ?? 0;
      const digit = HEX_VALUE[octet] ?? 255;
      if (digit < 16) {
        this.#digits += 1;
        if (this.#digits > MAX_CHUNK_DIGITS) return this.#refuse(FAULT.chunkSize);
        this.#left = this.#left * 16 + digit;
        continue;
      }
      if (this.#digits === 0) return this.#refuse(FAULT.chunkSize);
      if (octet === CR) this.#state = 'sizeEnd';
      else if (octet === SEMICOLON) this.#state = 'extension';
      else return this.#refuse(octet === LF ? FAULT.lineEnd : FAULT.chunkSize);
      return at + 1;
    }
    return to;
  }

  /** `name` or `name=value`, both tokens, with semicolons between. */
  #extension(bytes: Buffer, from: number, to: number): number {
    for (let at = from; at < to; at += 1) {
      const octet = bytes[at] ?? 0;
      this.#lineBytes += 1;
      if (this.#lineBytes > MAX_CHUNK_LINE_BYTES) return this.#refuse(FAULT.chunkSize);
      if (TOKEN[octet] !== 0) {
        this.#hasToken = true;
        continue;
      }
      const isSeparator =
        octet === CR || octet === SEMICOLON || (octet === EQUALS && !this.#isInValue);
      if (!this.#hasToken || !isSeparator) return this.#refuse(FAULT.chunkExtension);
      this.#hasToken = false;
      this.#isInValue = octet === EQUALS;
      if (octet !== CR) continue;
      this.#state = 'sizeEnd';
      return at + 1;
    }
    return to;
  }

  #readTrailers(bytes: Buffer, from: number, to: number): number {
    // Nearly always there are none: then the last two bytes need no block.
    if (this.#filled === 0 && to - from >= 2 && bytes[from] === CR && bytes[from + 1] === LF) {
      this.#state = 'done';
      return from + 2;
    }
    const block = (this.#trailers ??= new FieldBlock());
    const before = this.#filled;
    const added = Math.min(to - from, MAX_HEAD_BYTES + 2 - before);
    const whole = this.#collect(bytes, from, from + added);
    if (before === 0) block.begin(0);
    const end = block.read(whole, 0, this.#filled);
    if (end < 0) return this.#refuse(block.fault ?? FAULT.fieldName);
    if (end === 0) {
      return this.#filled > MAX_HEAD_BYTES ? this.#refuse(FAULT.headTooLarge) : from + added;
    }
    for (let i = 0; i < block.count; i += 1) {
      if (MAY_NOT_TRAIL[block.id[i] ?? 0] !== 0) return this.#refuse(FAULT.trailer);
    }
    this.#hasTrailers = block.count > 0;
    this.#state = 'done';
    return from + end - before;
  }

  #collect(bytes: Buffer, from: number, to: number): Buffer {
    const needed = this.#filled + to - from;
    let collected = this.#collected;
    if (collected === undefined || collected.length < needed) {
      const larger = Buffer.allocUnsafeSlow(Math.max(FIRST_COLLECTED, 2 * needed));
      collected?.copy(larger, 0, 0, this.#filled);
      collected = larger;
      this.#collected = larger;
    }
    bytes.copy(collected, this.#filled, from, to);
    this.#filled = needed;
    return collected;
  }

  #refuse(fault: Fault): number {
    this.fault = fault;
    return -1;
  }
}

/**
 * Cuts the bytes of one connection into HTTP/2 frames.
 *
 * The payload of DATA is handed on where it stands, as far as it has come, and never copied. Every
 * other frame is handed on whole: in place when it has come in one piece, else from a copy that is
 * not much larger than `MAX_HEADER_BLOCK`. Lengths are checked before a byte of a payload is looked
 * at. What breaks the connection is thrown as an HTTP2_PROTOCOL_ERROR; after that, or after `stop()`,
 * nothing more is said.
 */
import type { MeshError } from '../errors.ts';
import { http2Fault } from './fault.ts';
import {
  CODE,
  FLAG,
  FRAME,
  HEADER_BYTES,
  PREFACE,
  read24,
  read31,
  type FrameHead,
} from './frames.ts';
import { MAX_FRAME, MAX_HEADER_BLOCK, MAX_SMALL_FRAME } from './limits.ts';

/** What a reader says, in the order of the wire; the bytes are only lent. */
export interface FrameSink {
  /** A DATA frame begins; `length` counts padding too, as flow control does. */
  onDataFrame(stream: number, length: number, flags: number): void;
  /** Payload of the DATA frame that began last. */
  onDataBytes(bytes: Buffer, from: number, to: number): void;
  /** The DATA frame is complete; so many of its bytes were padding. */
  onDataDone(padding: number): void;
  /** Any other known frame, whole. */
  onFrame(head: FrameHead, bytes: Buffer, from: number, to: number): void;
  /** A frame of a type that we do not know; it is skipped. */
  onUnknownFrame(type: number): void;
}

/** Where a reader stands in its bytes, as plain data; bytes in base64. */
export interface FrameReaderState {
  readonly prefaceLeft: number;
  /** What has come of a frame's head. */
  readonly headBytes: string;
  readonly head: FrameHead;
  /** What has come of a frame that is collected. */
  readonly collected: string;
  readonly left: number;
  readonly reading: Reading;
  readonly padding: number;
  readonly paddingTotal: number;
}

type Reading = 'head' | 'padLength' | 'data' | 'padding' | 'frame' | 'unknown';

const NO_HEAD: FrameHead = { length: 0, type: FRAME.data, flags: 0, stream: 0 };
const NOTHING = Buffer.alloc(0);

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #headBytes = Buffer.allocUnsafeSlow(HEADER_BYTES);
  #headFilled = 0;
  /** Bytes of the client's preface that are still to come. */
  #prefaceLeft: number;
  /** The frame at hand, unless it is DATA, and what of it has come so far. */
  #head = NO_HEAD;
  #collected = NOTHING;
  #filled = 0;
  /** Bytes of the payload at hand that are still to come, and which of them are padding. */
  #left = 0;
  #reading: Reading = 'head';
  #padding = 0;
  #paddingTotal = 0;
  #stopped = false;

  constructor(sink: FrameSink, options: { expectPreface: boolean }) {
    this.#sink = sink;
    this.#prefaceLeft = options.expectPreface ? PREFACE.length : 0;
  }

  /** Says nothing from now on. */
  stop(): void {
    this.#stopped = true;
    this.#collected = NOTHING;
  }

  state(): FrameReaderState {
    const filled = this.#reading === 'frame' ? this.#filled : 0;
    return {
      prefaceLeft: this.#prefaceLeft,
      headBytes: this.#headBytes.toString('base64', 0, this.#headFilled),
      head: this.#head,
      collected: this.#collected.toString('base64', 0, filled),
      left: this.#left,
      reading: this.#reading,
      padding: this.#padding,
      paddingTotal: this.#paddingTotal,
    };
  }

  /** Goes on where the reader stood that `state` was taken from. */
  restore(state: FrameReaderState): void {
    this.#prefaceLeft = state.prefaceLeft;
    this.#headFilled = this.#headBytes.write(state.headBytes, 'base64');
    this.#head = state.head;
    this.#collected = Buffer.allocUnsafeSlow(state.head.length);
    this.#filled = this.#collected.write(state.collected, 'base64');
    this.#left = state.left;
    this.#reading = state.reading;
    this.#padding = state.padding;
    this.#paddingTotal = state.paddingTotal;
  }

  receive(bytes: Buffer, from: number, to: number): void {
    let at = this.#prefaceLeft > 0 ? this.#preface(bytes, from, to) : from;
    while (at < to && !this.#stopped) {
      switch (this.#reading) {
        case 'head':
          at = this.#readHead(bytes, at, to);
          break;
        case 'data':
          at = this.#readData(bytes, at, to);
          break;
        case 'padLength':
          at = this.#readPadLength(bytes, at);
          break;
        case 'padding':
          at = this.#skipPadding(at, to);
          break;
        case 'frame':
          at = this.#readFrame(bytes, at, to);
          break;
        case 'unknown':
          at = this.#skip(at, to);
          break;
      }
    }
  }

  #preface(bytes: Buffer, from: number, to: number): number {
    let at = from;
    for (; at < to && this.#prefaceLeft > 0; at += 1) {
      if (bytes[at] !== PREFACE[PREFACE.length - this.#prefaceLeft]) {
        throw this.#broken(CODE.protocolError, 'no HTTP/2 preface');
      }
      this.#prefaceLeft -= 1;
    }
    return at;
  }

  #readHead(bytes: Buffer, from: number, to: number): number {
    if (this.#headFilled === 0 && to - from >= HEADER_BYTES) {
      this.#begin(bytes, from);
      return from + HEADER_BYTES;
    }
    const taken = Math.min(HEADER_BYTES - this.#headFilled, to - from);
    bytes.copy(this.#headBytes, this.#headFilled, from, from + taken);
    this.#headFilled += taken;
    if (this.#headFilled === HEADER_BYTES) {
      this.#headFilled = 0;
      this.#begin(this.#headBytes, 0);
    }
    return from + taken;
  }

  #begin(bytes: Buffer, at: number): void {
    const length = read24(bytes, at);
    const type = bytes[at + 3] ?? 0;
    const flags = bytes[at + 4] ?? 0;
    const stream = read31(bytes, at + 5);
    if (length > MAX_FRAME) {
      throw this.#broken(CODE.frameSizeError, `frame of ${length} bytes`);
    }
    this.#left = length;
    if (type === FRAME.data) {
      this.#beginData(stream, length, flags);
      return;
    }
    if (type > FRAME.continuation) {
      this.#reading = length > 0 ? 'unknown' : 'head';
      this.#sink.onUnknownFrame(type);
      return;
    }
    if (length > mostOf(type)) {
      throw this.#broken(CODE.enhanceYourCalm, `frame of type ${type} with ${length} bytes`);
    }
    this.#head = { length, type, flags, stream };
    this.#filled = 0;
    if (length > 0) this.#reading = 'frame';
    else this.#sink.onFrame(this.#head, NOTHING, 0, 0);
  }

  #beginData(stream: number, length: number, flags: number): void {
    const padded = (flags & FLAG.padded) !== 0;
    if (stream === 0) {
      throw this.#broken(CODE.protocolError, 'DATA on stream 0');
    }
    if (padded && length === 0) {
      throw this.#broken(CODE.frameSizeError, 'padded DATA without a length of the padding');
    }
    this.#padding = 0;
    this.#paddingTotal = 0;
    this.#reading = padded ? 'padLength' : 'data';
    this.#sink.onDataFrame(stream, length, flags);
    if (length === 0) this.#endData();
  }

  #readPadLength(bytes: Buffer, at: number): number {
    const padding = bytes[at] ?? 0;
    this.#left -= 1;
    if (padding > this.#left) {
      throw this.#broken(CODE.protocolError, 'padding longer than its frame');
    }
    this.#left -= padding;
    this.#padding = padding;
    this.#paddingTotal = padding + 1;
    if (this.#left > 0) this.#reading = 'data';
    else this.#beginPadding();
    return at + 1;
  }

  #readData(bytes: Buffer, from: number, to: number): number {
    const end = Math.min(to, from + this.#left);
    this.#left -= end - from;
    this.#sink.onDataBytes(bytes, from, end);
    if (this.#left === 0) this.#beginPadding();
    return end;
  }

  #beginPadding(): void {
    if (this.#padding > 0) this.#reading = 'padding';
    else this.#endData();
  }

  #skipPadding(from: number, to: number): number {
    const end = Math.min(to, from + this.#padding);
    this.#padding -= end - from;
    if (this.#padding === 0) this.#endData();
    return end;
  }

  #endData(): void {
    this.#reading = 'head';
    if (!this.#stopped) this.#sink.onDataDone(this.#paddingTotal);
  }

  #readFrame(bytes: Buffer, from: number, to: number): number {
    const length = this.#head.length;
    if (this.#filled === 0 && to - from >= length) {
      this.#reading = 'head';
      this.#sink.onFrame(this.#head, bytes, from, from + length);
      return from + length;
    }
    if (this.#filled === 0) this.#collected = Buffer.allocUnsafeSlow(length);
    const taken = Math.min(length - this.#filled, to - from);
    bytes.copy(this.#collected, this.#filled, from, from + taken);
    this.#filled += taken;
    if (this.#filled === length) {
      const whole = this.#collected;
      this.#collected = NOTHING;
      this.#reading = 'head';
      this.#sink.onFrame(this.#head, whole, 0, length);
    }
    return from + taken;
  }

  #skip(from: number, to: number): number {
    const end = Math.min(to, from + this.#left);
    this.#left -= end - from;
    if (this.#left === 0) this.#reading = 'head';
    return end;
  }

  #broken(code: number, found: string): MeshError {
    this.stop();
    return http2Fault(code, found);
  }
}

/** Frames that are collected whole are bounded, far below what we take of DATA. */
function mostOf(type: number): number {
  switch (type) {
    case FRAME.headers:
    case FRAME.continuation:
    case FRAME.pushPromise:
      return MAX_HEADER_BLOCK + 256 + 5;
    default:
      return MAX_SMALL_FRAME;
  }
}

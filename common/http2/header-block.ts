/**
 * Puts header blocks together from HEADERS and CONTINUATION frames.
 *
 * While a block is open no other frame may come (the session asks `isOpen`). A block that fits one
 * frame is used where it stands; pieces are collected up to `MAX_HEADER_BLOCK` bytes and
 * `MAX_CONTINUATIONS` frames. What goes beyond ends the connection.
 */
import { http2Fault } from './fault.ts';
import { CODE, FLAG, read31, type FrameHead } from './frames.ts';
import { MAX_CONTINUATIONS, MAX_HEADER_BLOCK } from './limits.ts';

/** A whole block; the bytes are only lent. */
export interface Block {
  readonly stream: number;
  readonly endStream: boolean;
  /** The stream named itself as its parent, which RFC 7540 called an error of that stream. */
  readonly dependsOnItself: boolean;
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
}

export class HeaderBlocks {
  #first: Block | undefined;
  #pieces: Buffer[] = [];
  #size = 0;

  get isOpen(): boolean {
    return this.#first !== undefined;
  }

  /** Takes a HEADERS frame; returns the block when that was all of it. */
  headers(head: FrameHead, bytes: Buffer, from: number, to: number): Block | undefined {
    let start = from;
    let end = to;
    if ((head.flags & FLAG.padded) !== 0) {
      if (start >= end) throw http2Fault(CODE.frameSizeError, 'HEADERS too short for its padding');
      end -= bytes[start] ?? 0;
      start += 1;
    }
    let dependsOnItself = false;
    if ((head.flags & FLAG.priority) !== 0) {
      if (to - start < 5) throw http2Fault(CODE.frameSizeError, 'HEADERS too short for a priority');
      dependsOnItself = read31(bytes, start) === head.stream;
      start += 5;
    }
    if (start > end) throw http2Fault(CODE.protocolError, 'padding longer than its frame');
    const endStream = (head.flags & FLAG.endStream) !== 0;
    const block = { stream: head.stream, endStream, dependsOnItself, bytes, from: start, to: end };
    if ((head.flags & FLAG.endHeaders) !== 0) return block;
    this.#first = block;
    this.#add(bytes, start, end);
    return undefined;
  }

  /** Takes a CONTINUATION frame; returns the block when it was the last. */
  continuation(head: FrameHead, bytes: Buffer, from: number, to: number): Block | undefined {
    const first = this.#first;
    if (first === undefined || first.stream !== head.stream) {
      throw http2Fault(CODE.protocolError, 'CONTINUATION of no open header block');
    }
    if (this.#pieces.length > MAX_CONTINUATIONS) {
      throw http2Fault(CODE.enhanceYourCalm, `more than ${MAX_CONTINUATIONS} CONTINUATION frames`);
    }
    this.#add(bytes, from, to);
    if ((head.flags & FLAG.endHeaders) === 0) return undefined;
    const whole = Buffer.concat(this.#pieces);
    this.#first = undefined;
    this.#pieces = [];
    this.#size = 0;
    return { ...first, bytes: whole, from: 0, to: whole.length };
  }

  #add(bytes: Buffer, from: number, to: number): void {
    this.#size += to - from;
    if (this.#size > MAX_HEADER_BLOCK) {
      throw http2Fault(CODE.enhanceYourCalm, `header block larger than ${MAX_HEADER_BLOCK} bytes`);
    }
    this.#pieces.push(Buffer.from(bytes.subarray(from, to)));
  }
}

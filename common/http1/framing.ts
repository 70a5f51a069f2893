/**
 * What the fields of a message say about its body and its connection (RFC 9112 sections 6 and 9).
 *
 * Nothing that two readers could understand differently passes: one length or the one coding
 * `chunked`, never both, never twice. What Connection names is marked as not to be sent on, except
 * where that would take the message itself apart.
 */
import { HEX_VALUE, TOKEN } from './characters.ts';
import { FAULT, type Fault } from './fault.ts';
import type { FieldBlock } from './field-block.ts';
import { MAX_LENGTH_DIGITS } from './limits.ts';
import { NAME } from './names.ts';

export class Framing {
  /** What content-length says, or -1. */
  length = -1;
  chunked = false;
  /** The peer ends the connection after this message, or asks us to. */
  close = false;
  /** It asks to keep it, which HTTP/1.0 has to say. */
  keep = false;
  /** Connection names `upgrade`, and there is an Upgrade field. */
  upgrade = false;
  /** It waits for `100 Continue` before it sends its body. */
  expects = false;
  /** It takes trailers. */
  takesTrailers = false;
  /** The index of the Host field, or -1. */
  host = -1;
  readonly #fields: FieldBlock;

  constructor(fields: FieldBlock) {
    this.#fields = fields;
  }

  /** Takes in what the fields say; returns what is wrong with it. */
  read(minor: number): Fault | undefined {
    this.length = -1;
    this.chunked = false;
    this.close = false;
    this.keep = false;
    this.upgrade = false;
    this.expects = false;
    this.takesTrailers = false;
    this.host = -1;
    const fields = this.#fields;
    let names = false;
    for (let i = 0; i < fields.count; i += 1) {
      const id = fields.id[i] ?? 0;
      if (id === NAME.other) continue;
      if (id === NAME.connection) {
        names = this.#connection(i) || names;
        continue;
      }
      const fault = this.#field(i, id);
      if (fault !== undefined) return fault;
    }
    if (this.chunked && this.length >= 0) return FAULT.lengthAndCoding;
    if (this.chunked && minor === 0) return FAULT.codingVersion;
    if (this.upgrade && fields.indexOf(NAME.upgrade) < 0) this.upgrade = false;
    return names ? this.#dropNamed() : undefined;
  }

  #field(i: number, id: number): Fault | undefined {
    switch (id) {
      case NAME.host:
        if (this.host >= 0) return FAULT.host;
        this.host = i;
        return undefined;
      case NAME.contentLength:
        if (this.length >= 0) return FAULT.lengths;
        this.length = this.#readLength(i);
        return this.length < 0 ? FAULT.length : undefined;
      case NAME.transferEncoding:
        if (this.chunked) return FAULT.codings;
        if (!this.#is(i, 'chunked')) return FAULT.coding;
        this.chunked = true;
        return undefined;
      case NAME.expect:
        if (!this.#is(i, '100-continue')) return FAULT.expectation;
        this.expects = true;
        return undefined;
      case NAME.te:
        if (this.#has(i, 'trailers')) this.takesTrailers = true;
        return undefined;
      default:
        return undefined;
    }
  }

  #readLength(i: number): number {
    const { bytes } = this.#fields;
    const from = this.#fields.valueFrom(i);
    const to = this.#fields.valueTo(i);
    if (from === to || to - from > MAX_LENGTH_DIGITS) return -1;
    let length = 0;
    for (let at = from; at < to; at += 1) {
      const digit = HEX_VALUE[bytes[at] ?? 0] ?? 255;
      if (digit > 9) return -1;
      length = length * 10 + digit;
    }
    return length;
  }

  /** Whether a value is this word, in any case. */
  #is(i: number, word: string): boolean {
    const { bytes } = this.#fields;
    const from = this.#fields.valueFrom(i);
    return isWord(bytes, from, this.#fields.valueTo(i), word);
  }

  /** Whether a list has this word. */
  #has(i: number, word: string): boolean {
    let found = false;
    this.#eachToken(i, (from, to) => {
      found ||= isWord(this.#fields.bytes, from, to, word);
    });
    return found;
  }

  /** Reads a Connection field; says whether it names others. */
  #connection(i: number): boolean {
    // The two that nearly every message has, before anything is walked through.
    if (this.#is(i, 'keep-alive')) {
      this.keep = true;
      return false;
    }
    if (this.#is(i, 'close')) {
      this.close = true;
      return false;
    }
    let names = false;
    this.#eachToken(i, (from, to) => {
      const { bytes } = this.#fields;
      if (isWord(bytes, from, to, 'close')) this.close = true;
      else if (isWord(bytes, from, to, 'keep-alive')) this.keep = true;
      else if (isWord(bytes, from, to, 'upgrade')) this.upgrade = true;
      else names = true;
    });
    return names;
  }

  /** Marks what Connection names as not to be sent on. */
  #dropNamed(): Fault | undefined {
    const fields = this.#fields;
    let fault: Fault | undefined;
    for (let i = 0; i < fields.count; i += 1) {
      if (fields.id[i] !== NAME.connection) continue;
      this.#eachToken(i, (from, to) => {
        const name = fields.bytes.toString('latin1', from, to).toLowerCase();
        for (let k = 0; k < fields.count; k += 1) {
          if (!fields.isNamed(k, name)) continue;
          const id = fields.id[k];
          if (id === NAME.host || id === NAME.contentLength || id === NAME.transferEncoding) {
            fault = FAULT.connection;
          }
          fields.dropped[k] = 1;
        }
      });
    }
    return fault;
  }

  /** Calls back for each element of a comma-separated list, without the parameters behind it. */
  #eachToken(i: number, visit: (from: number, to: number) => void): void {
    const { bytes } = this.#fields;
    const end = this.#fields.valueTo(i);
    for (let at = this.#fields.valueFrom(i); at < end;) {
      const from = at;
      while (at < end && TOKEN[bytes[at] ?? 0] !== 0) at += 1;
      if (at > from) visit(from, at);
      while (at < end && bytes[at] !== 0x2c) at += 1;
      while (at < end && (bytes[at] === 0x2c || bytes[at] === 0x20 || bytes[at] === 9)) at += 1;
    }
  }
}

function isWord(bytes: Uint8Array, from: number, to: number, word: string): boolean {
  if (to - from !== word.length) return false;
  for (let i = 0; i < word.length; i += 1) {
    if (TOKEN[bytes[from + i] ?? 0] !== word.charCodeAt(i)) return false;
  }
  return true;
}

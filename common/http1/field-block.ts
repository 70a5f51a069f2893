/**
 * Field lines of a head or of trailers, as places in the bytes where they stand.
 *
 * Reading may be interrupted anywhere and goes on at the line that was not complete, in the same
 * bytes or in others where the block begins elsewhere: places count from the beginning of the block.
 * Each line is judged as soon as it has come. Line ends are CR LF and nothing else, names are tokens
 * with the colon right behind them, and a line that begins with a space is refused, not joined.
 */
import { TEXT, TOKEN } from './characters.ts';
import { FAULT, type Fault } from './fault.ts';
import { MAX_FIELDS, MAX_HEAD_BYTES, MAX_LINE_BYTES } from './limits.ts';
import { HASH_FACTOR, IS_HOP, nameOf } from './names.ts';

const NO_BYTES = Buffer.alloc(0);
const CR = 13;
const LF = 10;
const COLON = 58;

export class FieldBlock {
  /** Where the block stands, and where in it it begins. */
  bytes: Buffer = NO_BYTES;
  base = 0;
  count = 0;
  /** What is wrong with it, after `read` has returned -1. */
  fault: Fault | undefined;
  /** By field: the number of its name, and whether it is not to be sent on. */
  readonly id = new Uint8Array(MAX_FIELDS);
  readonly dropped = new Uint8Array(MAX_FIELDS);
  readonly #nameFrom = new Int32Array(MAX_FIELDS);
  readonly #nameTo = new Int32Array(MAX_FIELDS);
  readonly #valueFrom = new Int32Array(MAX_FIELDS);
  readonly #valueTo = new Int32Array(MAX_FIELDS);
  readonly #lineTo = new Int32Array(MAX_FIELDS);
  /** Where the line begins that has not been read yet. */
  #at = 0;

  /** Begins a new block whose first field line is `at` bytes behind its beginning. */
  begin(at: number): void {
    this.count = 0;
    this.fault = undefined;
    this.#at = at;
  }

  /**
   * Reads on, in a block that begins at `base` and of which there are bytes up to `to`. Returns where
   * it ends, 0 when more must come, -1 when it is faulty.
   */
  read(bytes: Buffer, base: number, to: number): number {
    this.bytes = bytes;
    this.base = base;
    let at = base + this.#at;
    for (;;) {
      if (at >= to) return this.#wait(at, to);
      if (bytes[at] === CR) {
        if (at + 1 >= to) return this.#wait(at, to);
        if (bytes[at + 1] !== LF) return this.#refuse(FAULT.lineEnd);
        this.#at = at + 2 - base;
        return at + 2;
      }
      const end = this.#line(bytes, at, to);
      if (end <= 0) return end;
      at = end;
    }
  }

  /** The name of a field, in lower case. */
  name(i: number): string {
    const { base } = this;
    const from = base + (this.#nameFrom[i] ?? 0);
    return this.bytes.toString('latin1', from, base + (this.#nameTo[i] ?? 0)).toLowerCase();
  }

  /** The value of a field, as octets. */
  value(i: number): string {
    const { base } = this;
    const from = base + (this.#valueFrom[i] ?? 0);
    return this.bytes.toString('latin1', from, base + (this.#valueTo[i] ?? 0));
  }

  valueFrom(i: number): number {
    return this.base + (this.#valueFrom[i] ?? 0);
  }

  valueTo(i: number): number {
    return this.base + (this.#valueTo[i] ?? 0);
  }

  /** The first field with this number of a name, or -1. */
  indexOf(id: number): number {
    for (let i = 0; i < this.count; i += 1) if (this.id[i] === id) return i;
    return -1;
  }

  /** Whether field `i` is called `name`, which is in lower case. */
  isNamed(i: number, name: string): boolean {
    const from = this.#nameFrom[i] ?? 0;
    if ((this.#nameTo[i] ?? 0) - from !== name.length) return false;
    const at = this.base + from;
    for (let k = 0; k < name.length; k += 1) {
      if (TOKEN[this.bytes[at + k] ?? 0] !== name.charCodeAt(k)) return false;
    }
    return true;
  }

  /** The value of the field that is called `name`, in lower case; several are joined to a list. */
  get(name: string): string | undefined {
    let found: string | undefined;
    for (let i = 0; i < this.count; i += 1) {
      if (!this.isNamed(i, name)) continue;
      found = found === undefined ? this.value(i) : `${found}, ${this.value(i)}`;
    }
    return found;
  }

  /** How many bytes `copyTo` writes at most. */
  get size(): number {
    return this.#at;
  }

  /** Writes the fields that are to be sent on, as they came, and returns where they end. */
  copyTo(into: Buffer, at: number): number {
    const { bytes, base, count, dropped } = this;
    let end = at;
    for (let i = 0; i < count; i += 1) {
      if (dropped[i] !== 0) continue;
      const from = this.#nameFrom[i] ?? 0;
      // Lines that stand one behind the other are copied as one.
      while (i + 1 < count && dropped[i + 1] === 0) i += 1;
      const to = this.#lineTo[i] ?? 0;
      bytes.copy(into, end, base + from, base + to);
      end += to - from;
    }
    return end;
  }

  /** Reads one line; returns where the next one begins, or as `read` does. */
  #line(bytes: Buffer, line: number, to: number): number {
    let at = line;
    let hash = 0;
    for (; at < to; at += 1) {
      const octet = TOKEN[bytes[at] ?? 0] ?? 0;
      if (octet === 0) break;
      hash = (Math.imul(hash, HASH_FACTOR) + octet) | 0;
    }
    if (at >= to) return this.#wait(line, to);
    const nameTo = at;
    if (bytes[at] !== COLON || at === line) return this.#refuse(FAULT.fieldName);
    at += 1;
    while (at < to && isBlank(bytes[at])) at += 1;
    const valueFrom = at;
    while (at < to && TEXT[bytes[at] ?? 0] !== 0) at += 1;
    if (at >= to) return this.#wait(line, to);
    if (bytes[at] !== CR) {
      return this.#refuse(bytes[at] === LF ? FAULT.lineEnd : FAULT.fieldValue);
    }
    if (at + 1 >= to) return this.#wait(line, to);
    if (bytes[at + 1] !== LF) return this.#refuse(FAULT.lineEnd);
    let valueTo = at;
    while (valueTo > valueFrom && isBlank(bytes[valueTo - 1])) valueTo -= 1;
    return this.#keep(line, nameTo, valueFrom, valueTo, hash, at + 2);
  }

  #keep(
    line: number,
    nameTo: number,
    valueFrom: number,
    valueTo: number,
    hash: number,
    next: number,
  ): number {
    const { base, count: i } = this;
    if (i >= MAX_FIELDS) return this.#refuse(FAULT.tooManyFields);
    if (next - line > MAX_LINE_BYTES || next - base > MAX_HEAD_BYTES) {
      return this.#refuse(FAULT.headTooLarge);
    }
    const id = nameOf(this.bytes, line, nameTo, hash);
    this.id[i] = id;
    this.dropped[i] = IS_HOP[id] ?? 0;
    this.#nameFrom[i] = line - base;
    this.#nameTo[i] = nameTo - base;
    this.#valueFrom[i] = valueFrom - base;
    this.#valueTo[i] = valueTo - base;
    this.#lineTo[i] = next - base;
    this.count = i + 1;
    this.#at = next - base;
    return next;
  }

  #wait(line: number, to: number): number {
    this.#at = line - this.base;
    if (to - line > MAX_LINE_BYTES || to - this.base > MAX_HEAD_BYTES) {
      return this.#refuse(FAULT.headTooLarge);
    }
    return 0;
  }

  #refuse(fault: Fault): number {
    this.fault = fault;
    return -1;
  }
}

function isBlank(octet: number | undefined): boolean {
  return octet === 0x20 || octet === 9;
}

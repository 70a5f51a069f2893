/** The head of a response (RFC 9112 sections 4 and 6). */
import { TEXT } from './characters.ts';
import { FAULT, type Fault } from './fault.ts';
import { FieldBlock } from './field-block.ts';
import { Framing } from './framing.ts';
import { MAX_LINE_BYTES } from './limits.ts';
import { versionMinor, VERSION_BYTES } from './version.ts';

export class ResponseHead {
  readonly fields = new FieldBlock();
  readonly framing = new Framing(this.fields);
  status = 0;
  /** Of HTTP/1. */
  minor = 1;
  #hasLine = false;
  #statusFrom = 0;
  #lineTo = 0;

  begin(): void {
    this.#hasLine = false;
    this.fields.begin(0);
  }

  /** Reads on, as `FieldBlock.read` does. */
  read(bytes: Buffer, base: number, to: number): number {
    if (!this.#hasLine) {
      const line = this.#startLine(bytes, base, to);
      if (line <= 0) return line;
      this.fields.begin(line - base);
      this.#hasLine = true;
    }
    const end = this.fields.read(bytes, base, to);
    if (end <= 0) return end;
    const fault = this.framing.read(this.minor);
    return fault === undefined ? end : this.#refuse(fault);
  }

  get fault(): Fault | undefined {
    return this.fields.fault;
  }

  /** Writes status, reason and line end as they came; returns where they end. */
  copyStatus(into: Buffer, at: number): number {
    const { bytes, base } = this.fields;
    bytes.copy(into, at, base + this.#statusFrom, base + this.#lineTo);
    return at + this.#lineTo - this.#statusFrom;
  }

  #startLine(bytes: Buffer, base: number, to: number): number {
    // The shortest is `HTTP/1.1 200` CR LF; the space before an empty reason is often left out.
    if (to - base < VERSION_BYTES + 6) return 0;
    this.minor = versionMinor(bytes, base);
    if (this.minor < 0) return this.#refuse(FAULT.version);
    let at = base + VERSION_BYTES;
    if (bytes[at] !== 0x20) return this.#refuse(FAULT.status);
    at += 1;
    this.#statusFrom = at - base;
    let status = 0;
    for (const end = at + 3; at < end; at += 1) {
      const digit = (bytes[at] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) return this.#refuse(FAULT.status);
      status = status * 10 + digit;
    }
    if (status < 100) return this.#refuse(FAULT.status);
    this.status = status;
    if (bytes[at] !== 0x20 && bytes[at] !== 13) return this.#refuse(FAULT.status);
    while (at < to && TEXT[bytes[at] ?? 0] !== 0) at += 1;
    if (at - base > MAX_LINE_BYTES) return this.#refuse(FAULT.headTooLarge);
    if (at + 1 >= to) return 0;
    if (bytes[at] !== 13 || bytes[at + 1] !== 10) return this.#refuse(FAULT.lineEnd);
    this.#lineTo = at + 2 - base;
    return at + 2;
  }

  #refuse(fault: Fault): number {
    this.fields.fault = fault;
    return -1;
  }
}

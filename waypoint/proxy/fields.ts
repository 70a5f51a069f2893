/**
 * The end-to-end fields of a message, whichever protocol it came in, and what is changed in them on
 * the way: they can be written as HTTP/1.1 and as HTTP/2.
 *
 * One of these stands beside each reader and is used again for each message. Fields that came stay
 * where they are and are copied as they are, so a message that nobody looks at costs no string.
 */
import type { FieldBlock } from '#common/http1/field-block.ts';
import { NAME } from '#common/http1/names.ts';
import { writeField } from '#common/http1/writer.ts';
import { blockBytes, type HeaderSource, type HpackEncoder } from '#common/http2/hpack-encoder.ts';
import type { Header } from '#common/http2/static-table.ts';

/** Never sent in HTTP/2: their place is taken by pseudo headers, or by HTTP/2 itself. */
const NOT_IN_HTTP2 = new Set(['host']);

const NO_HEADERS: readonly Header[] = [];

export class Fields implements HeaderSource {
  #block: FieldBlock | undefined;
  #headers: readonly Header[] = NO_HEADERS;
  #first = 0;
  /** Names of HTTP/2 fields that are not sent on; nearly always none. */
  readonly #dropped: string[] = [];
  readonly #addedNames: string[] = [];
  readonly #addedValues: string[] = [];
  #addedBytes = 0;
  /** Names whose value was replaced or that were removed, so that they are not found any more. */
  #hasChanges = false;

  /** Stands for the fields of a message in HTTP/1.1. */
  ofBlock(block: FieldBlock | undefined): this {
    this.#reset();
    this.#block = block;
    this.#headers = NO_HEADERS;
    return this;
  }

  /** Stands for the fields of a message in HTTP/2, which begin at `first`. */
  ofHeaders(headers: readonly Header[], first: number): this {
    this.#reset();
    this.#block = undefined;
    this.#headers = headers;
    this.#first = first;
    return this;
  }

  /** Whether there is nothing to send. */
  get isEmpty(): boolean {
    const came = this.#block === undefined ? this.#headers.length - this.#first : this.#block.count;
    return came === 0 && this.#addedNames.length === 0;
  }

  /** The value of a field by its lower-case name; several are joined to a list. */
  get(name: string): string | undefined {
    let found: string | undefined;
    if (!this.#isDropped(name)) {
      found = this.#block === undefined ? this.#getHeader(name) : this.#getLine(name);
    }
    for (let i = 0; i < this.#addedNames.length; i += 1) {
      if (this.#addedNames[i] !== name) continue;
      const value = this.#addedValues[i] ?? '';
      found = found === undefined ? value : `${found}, ${value}`;
    }
    return found;
  }

  set(name: string, value: string): void {
    this.remove(name);
    this.append(name, value);
  }

  /** As `set`, for a name with a number; '' removes it. */
  replace(id: number, name: string, value: string): void {
    const block = this.#block;
    if (block === undefined) {
      if (this.#getHeader(name) !== undefined) this.#dropped.push(name);
    } else {
      for (let i = 0; i < block.count; i += 1) {
        if (block.id[i] !== id) continue;
        block.dropped[i] = 1;
        this.#hasChanges = true;
      }
    }
    if (value !== '') this.append(name, value);
  }

  /** Appends to the value that is there. */
  add(name: string, value: string): void {
    const found = name === 'set-cookie' ? undefined : this.get(name);
    if (found === undefined) this.append(name, value);
    else this.set(name, `${found},${value}`);
  }

  /** Adds a line of its own. */
  append(name: string, value: string): void {
    this.#addedNames.push(name);
    this.#addedValues.push(value);
    this.#addedBytes += name.length + value.length + 4;
  }

  remove(name: string): void {
    this.#hasChanges = true;
    const block = this.#block;
    if (block === undefined) this.#dropped.push(name);
    else for (let i = 0; i < block.count; i += 1) if (block.isNamed(i, name)) block.dropped[i] = 1;
    for (let i = this.#addedNames.indexOf(name); i >= 0; i = this.#addedNames.indexOf(name, i)) {
      this.#addedNames.splice(i, 1);
      this.#addedValues.splice(i, 1);
    }
  }

  /** At most as many bytes as `write` writes. */
  get lineBytes(): number {
    if (this.#block !== undefined) return this.#block.size + this.#addedBytes;
    let bytes = this.#addedBytes;
    for (let i = this.#first; i < this.#headers.length; i += 1) {
      const header = this.#headers[i];
      if (header !== undefined) bytes += header.name.length + header.value.length + 4;
    }
    return bytes;
  }

  /** Writes the fields as lines of HTTP/1.1; returns where they end. */
  write(into: Buffer, at: number): number {
    let end = at;
    if (this.#block !== undefined) end = this.#block.copyTo(into, at);
    else {
      let hasCookie = false;
      for (let i = this.#first; i < this.#headers.length; i += 1) {
        const header = this.#headers[i];
        if (header === undefined || this.#isDropped(header.name) || header.name === 'te') continue;
        let { value } = header;
        if (header.name === 'cookie') {
          // HTTP/2 may split it; HTTP/1.1 has one line (RFC 9113 section 8.2.3).
          if (hasCookie) continue;
          hasCookie = true;
          value = this.#getHeader('cookie') ?? value;
        }
        end = writeField(into, end, header.name, value);
      }
    }
    for (let i = 0; i < this.#addedNames.length; i += 1) {
      end = writeField(into, end, this.#addedNames[i] ?? '', this.#addedValues[i] ?? '');
    }
    return end;
  }

  get mostBytes(): number {
    if (this.#block !== undefined) {
      return (
        this.#block.size + 16 * (this.#block.count + this.#addedNames.length) + this.#addedBytes
      );
    }
    let bytes = blockBytes() + this.#addedBytes + 16 * this.#addedNames.length;
    for (let i = this.#first; i < this.#headers.length; i += 1) {
      const header = this.#headers[i];
      if (header !== undefined) bytes += header.name.length + header.value.length + 16;
    }
    return bytes;
  }

  /** Calls back for each field that is sent on. */
  each(visit: (name: string, value: string) => void): void {
    const block = this.#block;
    if (block === undefined) {
      for (let i = this.#first; i < this.#headers.length; i += 1) {
        const header = this.#headers[i];
        if (header !== undefined && !this.#isDropped(header.name)) visit(header.name, header.value);
      }
    } else {
      for (let i = 0; i < block.count; i += 1) {
        if (block.dropped[i] === 0) visit(block.name(i), block.value(i));
      }
    }
    for (let i = 0; i < this.#addedNames.length; i += 1) {
      visit(this.#addedNames[i] ?? '', this.#addedValues[i] ?? '');
    }
  }

  /** Writes the fields for HTTP/2. */
  encode(encoder: HpackEncoder): void {
    const block = this.#block;
    if (block === undefined) {
      for (let i = this.#first; i < this.#headers.length; i += 1) {
        const header = this.#headers[i];
        if (header === undefined || this.#isDropped(header.name)) continue;
        if (!NOT_IN_HTTP2.has(header.name)) encoder.named(header.name, header.value);
      }
    } else {
      for (let i = 0; i < block.count; i += 1) {
        if (block.dropped[i] !== 0 || block.id[i] === NAME.host) continue;
        encoder.named(block.name(i), block.value(i));
      }
    }
    for (let i = 0; i < this.#addedNames.length; i += 1) {
      encoder.named(this.#addedNames[i] ?? '', this.#addedValues[i] ?? '');
    }
  }

  #getLine(name: string): string | undefined {
    const block = this.#block;
    if (block === undefined) return undefined;
    // Whoever removes a field sets the same mark as what Connection names: then look at each.
    if (!this.#hasChanges) return block.get(name);
    let found: string | undefined;
    for (let i = 0; i < block.count; i += 1) {
      if (block.dropped[i] !== 0 || !block.isNamed(i, name)) continue;
      found = found === undefined ? block.value(i) : `${found}, ${block.value(i)}`;
    }
    return found;
  }

  #getHeader(name: string): string | undefined {
    let found: string | undefined;
    for (let i = this.#first; i < this.#headers.length; i += 1) {
      const header = this.#headers[i];
      if (header?.name !== name) continue;
      const joint = name === 'cookie' ? '; ' : ', ';
      found = found === undefined ? header.value : `${found}${joint}${header.value}`;
    }
    return found;
  }

  #isDropped(name: string): boolean {
    return this.#dropped.length > 0 && this.#dropped.includes(name);
  }

  #reset(): void {
    this.#hasChanges = false;
    if (this.#addedNames.length > 0) {
      this.#addedNames.length = 0;
      this.#addedValues.length = 0;
      this.#addedBytes = 0;
    }
    if (this.#dropped.length > 0) this.#dropped.length = 0;
  }
}

/**
 * Writes header blocks (RFC 7541) without a dynamic table and without Huffman code.
 *
 * Names that are known are taken from the static table, everything else is a literal that nobody
 * indexes; so two sessions never differ in what they know, and a block can be read by itself. The
 * first block after each SETTINGS of the peer that speaks of the table says that ours is empty.
 */
import { STATIC_NAME, STATIC_TABLE } from './static-table.ts';

const NO_TABLE = 0x20;
const STATIC_STATUS: ReadonlyMap<number, number> = new Map([
  [200, 8],
  [204, 9],
  [206, 10],
  [304, 11],
  [400, 12],
  [404, 13],
  [500, 14],
]);

/** By name: an entry of the static table that has it. */
const INDEX_BY_NAME: ReadonlyMap<string, number> = new Map(
  STATIC_TABLE.map(({ name }, i) => [name, i + 1] as const),
);

/** A header list that writes itself. */
export interface HeaderSource {
  /** At most as many bytes as its block can need. */
  readonly mostBytes: number;
  encode(encoder: HpackEncoder): void;
}

/** What a literal can need beside its characters: a type byte and two lengths. */
const LITERAL_OVERHEAD = 11;

/** At most as many bytes as a block with these fields can need. */
export function blockBytes(...fields: readonly (string | undefined)[]): number {
  let bytes = 16;
  for (const field of fields) bytes += (field?.length ?? 0) + LITERAL_OVERHEAD;
  return bytes;
}

/** Says whether a value may stand in a header: visible ASCII with single spaces inside. */
export function isSendable(value: string): boolean {
  return /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/.test(value);
}

export class HpackEncoder {
  #updateDue = true;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  /** The peer has spoken of the size of our table. */
  tableLimited(): void {
    this.#updateDue = true;
  }

  begin(bytes: Buffer, at: number): void {
    this.#bytes = bytes;
    this.#at = at;
    if (!this.#updateDue) return;
    this.#updateDue = false;
    this.#put(NO_TABLE);
  }

  /** Ends the block; returns where it ends. */
  end(): number {
    return this.#at;
  }

  status(code: number): void {
    const index = STATIC_STATUS.get(code);
    if (index !== undefined) {
      this.#put(0x80 | index);
      return;
    }
    this.#put(STATIC_NAME.status);
    this.#string(String(code));
  }

  method(method: string): void {
    if (method === 'GET' || method === 'POST') {
      this.#put(method === 'GET' ? 0x82 : 0x83);
      return;
    }
    this.#put(STATIC_NAME.method);
    this.#string(method);
  }

  authority(authority: string): void {
    this.#put(STATIC_NAME.authority);
    this.#string(authority);
  }

  scheme(scheme: string): void {
    this.#put(scheme === 'https' ? 0x87 : 0x86);
  }

  path(path: string): void {
    if (path === '/') {
      this.#put(0x84);
      return;
    }
    this.#put(STATIC_NAME.path);
    this.#string(path);
  }

  /** A field whose name, in lower case, may be one of the static table. */
  named(name: string, value: string): void {
    const index = INDEX_BY_NAME.get(name);
    if (index === undefined) {
      this.field(name, value);
      return;
    }
    if (index < 15) this.#put(index);
    else {
      this.#put(15);
      this.#put(index - 15);
    }
    this.#string(value);
  }

  /** A field whose name we write out, in lower case. */
  field(name: string, value: string): void {
    this.#put(0);
    this.#string(name);
    this.#string(value);
  }

  #string(text: string): void {
    this.#length(text.length);
    this.#at += this.#bytes.write(text, this.#at, 'latin1');
  }

  #length(length: number): void {
    if (length < 127) {
      this.#put(length);
      return;
    }
    this.#put(127);
    let rest = length - 127;
    for (; rest >= 128; rest >>>= 7) this.#put((rest & 127) | 128);
    this.#put(rest);
  }

  #put(byte: number): void {
    this.#bytes[this.#at] = byte;
    this.#at += 1;
  }
}

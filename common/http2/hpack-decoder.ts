/**
 * Reads header blocks (RFC 7541).
 *
 * The dynamic table may hold 4096 bytes until the peer has acknowledged our SETTINGS, which say 0;
 * from then on it is empty for good, so that a session carries no state but its streams. Work and
 * memory are bounded by the encoded block and by the size of the list: decoding stops at the first
 * field that goes beyond either, and whoever receives such a fault must end the connection, since
 * the table is no longer in step.
 */
import { decodeHuffman } from './huffman.ts';
import { compressionFault, http2Fault } from './fault.ts';
import { CODE } from './frames.ts';
import { MAX_TABLE_UPDATES } from './limits.ts';
import { STATIC_TABLE, type Header } from './static-table.ts';

const DEFAULT_TABLE = 4096;
/** What an entry counts beside its characters (section 4.1). */
const ENTRY_OVERHEAD = 32;
const LARGEST_INTEGER = 0x7fff_ffff;
/** A long string must not cost the session its memory for good. */
const KEPT_SCRATCH = 1024;

export class HpackDecoder {
  readonly #maxList: number;
  /** The newest entry stands last. */
  readonly #table: Header[] = [];
  #tableSize = 0;
  /** What the peer has chosen, and what it may choose. */
  #tableMax = DEFAULT_TABLE;
  #tableLimit = DEFAULT_TABLE;
  /** Where decoded strings are put together; one for all blocks, made at need. */
  #scratch = Buffer.alloc(0);
  #bytes: Buffer = this.#scratch;
  #at = 0;
  #end = 0;

  constructor(maxListBytes: number) {
    this.#maxList = maxListBytes;
  }

  /**
   * The peer has acknowledged a table of this size. Its next block should begin with a size update;
   * not all encoders do that, and without it nothing can be mistaken: what they index is not kept,
   * and an index that names it is a fault.
   */
  limitTable(size: number): void {
    this.#tableLimit = size;
    this.#tableMax = Math.min(this.#tableMax, size);
    this.#evictTo(this.#tableMax);
  }

  /** Whether the table is empty for good, so that blocks can be read without what came before. */
  get hasNoTable(): boolean {
    return this.#tableLimit === 0;
  }

  /** Decodes one whole block; throws an HTTP2_PROTOCOL_ERROR that ends the connection. */
  decode(bytes: Buffer, from: number, to: number): Header[] {
    this.#bytes = bytes;
    this.#at = from;
    this.#end = to;
    const headers: Header[] = [];
    let size = 0;
    let updates = 0;
    while (this.#at < to) {
      const first = bytes[this.#at] ?? 0;
      if ((first & 0xe0) === 0x20) {
        updates += 1;
        this.#resizeTable(updates, headers.length > 0);
        continue;
      }
      const header = first >= 0x80 ? this.#entry(this.#integer(7)) : this.#literal(first);
      size += header.name.length + header.value.length + ENTRY_OVERHEAD;
      if (size > this.#maxList) {
        throw http2Fault(CODE.enhanceYourCalm, `header list larger than ${this.#maxList} bytes`);
      }
      headers.push(header);
    }
    if (this.#scratch.length > KEPT_SCRATCH) this.#scratch = Buffer.alloc(0);
    return headers;
  }

  #resizeTable(updates: number, late: boolean): void {
    const size = this.#integer(5);
    if (late || updates > MAX_TABLE_UPDATES) throw compressionFault('stray table size update');
    if (size > this.#tableLimit) throw compressionFault(`table of ${size} bytes is not allowed`);
    this.#tableMax = size;
    this.#evictTo(size);
  }

  #literal(first: number): Header {
    const indexed = (first & 0xc0) === 0x40;
    const index = this.#integer(indexed ? 6 : 4);
    const name = index === 0 ? this.#string() : this.#entry(index).name;
    const header = { name, value: this.#string(), isGood: false };
    if (indexed) this.#remember(header);
    return header;
  }

  #entry(index: number): Header {
    const fixed = STATIC_TABLE[index - 1];
    if (fixed !== undefined) return fixed;
    const entry = this.#table[this.#table.length - (index - STATIC_TABLE.length)];
    if (index === 0 || entry === undefined) throw compressionFault(`no entry at index ${index}`);
    return entry;
  }

  #remember(header: Header): void {
    const size = header.name.length + header.value.length + ENTRY_OVERHEAD;
    this.#evictTo(this.#tableMax - size);
    if (size > this.#tableMax) return;
    this.#table.push(header);
    this.#tableSize += size;
  }

  /** Entries are at least 32 bytes, so there are at most 128 and `shift` is cheap. */
  #evictTo(size: number): void {
    while (this.#tableSize > size) {
      const oldest = this.#table.shift();
      if (oldest === undefined) break;
      this.#tableSize -= oldest.name.length + oldest.value.length + ENTRY_OVERHEAD;
    }
  }

  #integer(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (value > LARGEST_INTEGER || shift > 28) throw compressionFault('integer too large');
      if (byte < 0x80) return value;
    }
  }

  #string(): string {
    const huffman = ((this.#bytes[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    const from = this.#at;
    const to = from + length;
    if (to > this.#end) throw compressionFault('string beyond the end of the block');
    this.#at = to;
    if (!huffman) return this.#bytes.toString('latin1', from, to);
    // The shortest symbol has five bits.
    const most = Math.ceil((length * 8) / 5);
    if (this.#scratch.length < most) this.#scratch = Buffer.allocUnsafeSlow(Math.max(most, 512));
    const decoded = decodeHuffman(this.#bytes, from, to, this.#scratch);
    if (decoded < 0) throw compressionFault('bad Huffman code');
    return this.#scratch.toString('latin1', 0, decoded);
  }

  #byte(): number {
    if (this.#at >= this.#end) throw compressionFault('block ends too early');
    const byte = this.#bytes[this.#at] ?? 0;
    this.#at += 1;
    return byte;
  }
}

/**
 * The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B), decoding only: we send plain.
 *
 * The code is canonical, so the lengths of its 257 symbols say everything. Decoding walks a table by
 * half bytes; the shortest symbol has five bits, so a half byte never ends two of them. Padding must
 * be the first bits of EOS and shorter than a byte, and EOS itself must not occur.
 */

/** Bits of each symbol, 0 to 255 and then EOS. */
const LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
  28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5,
  6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6,
  7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
  23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22,
  22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22,
  23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27,
  27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25,
  24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const EOS = 256;
const SYMBOL = 0xff;
const EMITS = 1 << 8;
const FAILS = 1 << 9;
/** The state may end here: nothing but ones since the last symbol, and fewer than eight. */
const MAY_END = 1 << 10;
const NEXT = 16;

/** For each state and half byte: what to emit and where to go. */
const TABLE = buildTable();

/** Decodes `[from, to)` into `into` from its start; returns the length, or -1 when it is no code. */
export function decodeHuffman(
  bytes: Uint8Array,
  from: number,
  to: number,
  into: Uint8Array,
): number {
  let state = 0;
  let ends = true;
  let length = 0;
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] ?? 0;
    for (let half = byte >> 4, last = false; ; half = byte & 15, last = true) {
      const step = TABLE[(state << 4) | half] ?? FAILS;
      if ((step & FAILS) !== 0) return -1;
      if ((step & EMITS) !== 0) {
        into[length] = step & SYMBOL;
        length += 1;
      }
      state = step >>> NEXT;
      ends = (step & MAY_END) !== 0;
      if (last) break;
    }
  }
  return ends ? length : -1;
}

interface Node {
  /** Children for 0 and 1: another node, or a symbol. */
  readonly next: (Node | number | undefined)[];
  readonly state: number;
  /** Reached by ones alone, and at most seven of them. */
  readonly mayEnd: boolean;
}

function buildTable(): Uint32Array {
  const nodes: Node[] = [{ next: [], state: 0, mayEnd: true }];
  for (const { symbol, bits, code } of canonicalCodes()) plant(nodes, symbol, bits, code);
  const table = new Uint32Array(nodes.length * 16);
  for (const node of nodes) {
    for (let half = 0; half < 16; half += 1)
      table[node.state * 16 + half] = walk(nodes, node, half);
  }
  return table;
}

/** Gives codes in order of length, then of symbol, each one more than the last. */
function canonicalCodes(): { symbol: number; bits: number; code: number }[] {
  const sorted = LENGTHS.map((bits, symbol) => ({ symbol, bits })).toSorted(
    (a, b) => a.bits - b.bits || a.symbol - b.symbol,
  );
  let code = 0;
  let length = 0;
  return sorted.map(({ symbol, bits }) => {
    code *= 2 ** (bits - length);
    length = bits;
    const own = code;
    code += 1;
    return { symbol, bits, code: own };
  });
}

function plant(nodes: Node[], symbol: number, bits: number, code: number): void {
  let node = nodes[0];
  for (let i = bits - 1; i >= 0 && node !== undefined; i -= 1) {
    const bit = (code >>> i) & 1;
    if (i === 0) {
      node.next[bit] = symbol;
      return;
    }
    let child = node.next[bit];
    if (typeof child !== 'object') {
      const depth = bits - i;
      const ones = node.mayEnd && bit === 1 && depth <= 7;
      child = { next: [], state: nodes.length, mayEnd: ones };
      nodes.push(child);
      node.next[bit] = child;
    }
    node = child;
  }
}

function walk(nodes: readonly Node[], start: Node, half: number): number {
  let node = start;
  let emitted = 0;
  for (let i = 3; i >= 0; i -= 1) {
    const next = node.next[(half >> i) & 1];
    if (next === undefined || next === EOS) return FAILS;
    if (typeof next === 'object') {
      node = next;
    } else {
      emitted = EMITS | next;
      node = nodes[0] ?? node;
    }
  }
  return emitted | (node.mayEnd ? MAY_END : 0) | (node.state * 2 ** NEXT);
}

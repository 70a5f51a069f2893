/**
 * The rules of one legacy table as the kernel keeps them, boiled down to a number that changes when
 * they do. Pure.
 *
 * The packet and byte counters stand between the rules and are skipped; everything else counts.
 */
import type { Family } from '#common/address.ts';

/** Where the parts of one entry stand: struct ipt_entry and struct ip6t_entry. */
const LAYOUT: Readonly<Record<Family, { readonly next: number; readonly counters: number }>> = {
  4: { next: 90, counters: 96 },
  6: { next: 142, counters: 152 },
};
const COUNTERS_BYTES = 16;

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** Hashes the entries between `from` and `to`, both multiples of four. */
export function hashEntries(bytes: Buffer, from: number, to: number, family: Family): number {
  const { next, counters } = LAYOUT[family];
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  let hash = FNV_OFFSET;
  for (let at = from; at < to;) {
    const length = at + counters + COUNTERS_BYTES <= to ? bytes.readUInt16LE(at + next) & ~3 : 0;
    // No entry is shorter than its head; what cannot be followed is hashed as it stands.
    const end = length < counters + COUNTERS_BYTES ? to : Math.min(to, at + length);
    hash = hashWords(hash, words, at >> 2, Math.min(end, at + counters) >> 2);
    hash = hashWords(hash, words, (at + counters + COUNTERS_BYTES) >> 2, end >> 2);
    at = end;
  }
  return hash >>> 0;
}

/** FNV-1a, a word at a time. */
function hashWords(start: number, words: Int32Array, from: number, to: number): number {
  let hash = start;
  for (let i = from; i < to; i += 1) hash = Math.imul(hash ^ (words[i] ?? 0), FNV_PRIME);
  return hash;
}

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

/** Hashes the entries between byte `from` and byte `to`, both multiples of four, into 32 bits. */
export function hashEntries(words: Int32Array, from: number, to: number, family: Family): number {
  const { next, counters } = LAYOUT[family];
  const nextAt = next >> 2;
  const countersAt = counters >> 2;
  const shortest = countersAt + (COUNTERS_BYTES >> 2);
  const last = to >> 2;
  let hash = FNV_OFFSET;
  for (let at = from >> 2; at < last;) {
    // The 16 bits in the upper half of the word: the length of the entry.
    const length = at + shortest <= last ? ((words[at + nextAt] ?? 0) >>> 16) >> 2 : 0;
    // No entry is shorter than its head; what cannot be followed is hashed as it stands.
    const end = length < shortest ? last : Math.min(last, at + length);
    hash = hashWords(hash, words, at, Math.min(end, at + countersAt));
    hash = hashWords(hash, words, at + shortest, end);
    at = end;
  }
  return hash | 0;
}

/** FNV-1a, a word at a time, the even and the odd ones side by side: half the time for long runs. */
function hashWords(start: number, words: Int32Array, from: number, to: number): number {
  let even = start;
  let odd = FNV_OFFSET;
  let i = from;
  for (; i + 1 < to; i += 2) {
    even = Math.imul(even ^ (words[i] ?? 0), FNV_PRIME);
    odd = Math.imul(odd ^ (words[i + 1] ?? 0), FNV_PRIME);
  }
  if (i < to) even = Math.imul(even ^ (words[i] ?? 0), FNV_PRIME);
  return Math.imul(even ^ (odd >>> 15), FNV_PRIME) ^ odd;
}

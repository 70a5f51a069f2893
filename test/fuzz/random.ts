/** Random numbers that a seed repeats, and bytes made of them. Every case of a fuzzer depends on its seed alone. */
export type Random = (below: number) => number;

/** Mulberry32: small, and the same everywhere. Whole numbers from 0 to below. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

export function noise(random: Random, most: number): Buffer {
  const bytes = Buffer.alloc(random(most));
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = random(256);
  return bytes;
}

export function pick<T>(random: Random, items: readonly T[]): T {
  const item = items[random(items.length)];
  if (item === undefined) throw new RangeError('Cannot pick from nothing');
  return item;
}

/**
 * Consistent hashing: the same key goes to the same endpoint in every waypoint, and a change of the
 * endpoints moves few keys.
 *
 * The ring moves the fewest keys; Maglev spreads them more evenly and finds one in a single step.
 * Both are walked on from an endpoint that is out, so only its own keys move while it is.
 */
import type { Endpoint } from './endpoint.ts';
import { hashText, mix } from './hash.ts';

export interface HashTable {
  /** The first endpoint for `hash` that `isOut` lets pass; undefined when none does. */
  find(hash: number, isOut: (endpoint: Endpoint) => boolean): Endpoint | undefined;
}

/** Points of an endpoint with the mean weight. */
const POINTS = 160;
const RING_MAX = 65_536;

export function buildRing(endpoints: readonly Endpoint[]): HashTable {
  const total = endpoints.reduce((sum, { weight }) => sum + weight, 0);
  const size = Math.min(RING_MAX, endpoints.length * POINTS);
  const points = endpoints.flatMap((endpoint) => {
    const count = Math.max(1, Math.round((endpoint.weight / total) * size));
    const start = hashText(endpoint.id);
    return Array.from({ length: count }, (_, i) => ({
      hash: mix(start ^ Math.imul(i + 1, 0x9e3779b1)),
      endpoint,
    }));
  });
  // Equal hashes are put in the order of names, so that every waypoint has the same ring.
  points.sort((a, b) => a.hash - b.hash || (a.endpoint.id < b.endpoint.id ? -1 : 1));
  const hashes = Uint32Array.from(points, ({ hash }) => hash);
  return {
    find(hash, isOut) {
      let [low, high] = [0, hashes.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((hashes[middle] ?? 0) < hash) low = middle + 1;
        else high = middle;
      }
      return walk(points, low, isOut);
    },
  };
}

/** Primes; the smallest with at least a hundred places an endpoint is taken. */
const SIZES = [1009, 4001, 16_001, 65_537];
const PLACES = 100;

export function buildMaglev(endpoints: readonly Endpoint[]): HashTable {
  const size = SIZES.find((one) => one >= endpoints.length * PLACES) ?? 65_537;
  const heaviest = Math.max(...endpoints.map(({ weight }) => weight));
  const places = new Int32Array(size).fill(-1);
  const next = endpoints.map(({ id }) => ({
    at: hashText(id, 3) % size,
    skip: (hashText(id, 4) % (size - 1)) + 1,
  }));
  let filled = endpoints.length === 0 ? size : 0;
  for (let round = 1; filled < size; round += 1) {
    for (const [i, { weight }] of endpoints.entries()) {
      const own = next[i];
      // One of half the weight chooses in every other round.
      const isTurn =
        Math.floor((round * weight) / heaviest) > Math.floor(((round - 1) * weight) / heaviest);
      if (own === undefined || !isTurn || filled === size) continue;
      while (places[own.at] !== -1) own.at = (own.at + own.skip) % size;
      places[own.at] = i;
      filled += 1;
    }
  }
  const points = Array.from(places, (i) => ({ endpoint: endpoints[i] }));
  return { find: (hash, isOut) => walk(points, hash % size, isOut) };
}

function walk(
  points: readonly { readonly endpoint: Endpoint | undefined }[],
  from: number,
  isOut: (endpoint: Endpoint) => boolean,
): Endpoint | undefined {
  let last: Endpoint | undefined;
  for (let i = 0; i < points.length; i += 1) {
    const { endpoint } = points[(from + i) % points.length] ?? {};
    if (endpoint === undefined || endpoint === last) continue;
    if (!isOut(endpoint)) return endpoint;
    last = endpoint;
  }
  return undefined;
}

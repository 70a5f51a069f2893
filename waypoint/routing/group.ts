/**
 * The matches that one path leads to, in order of precedence, and the first that takes a request.
 *
 * A group of many is filed by the exact header or query parameter that most of its members ask for,
 * so ten thousand tenants told apart by a header cost about as much as ten.
 */
import { passes } from './compiled.ts';
import type { Candidate } from './compiled.ts';
import { queryValue } from './request.ts';
import type { RequestView } from './request.ts';

/** Fewer are simply tried one after the other. */
const FILED_FROM = 8;

interface Ranked {
  readonly candidate: Candidate;
  readonly rank: number;
}

/** Members that ask for one exact value each of the same header or parameter. */
interface Drawers {
  readonly from: 'headers' | 'query';
  readonly name: string;
  readonly byValue: Map<string, Ranked[]>;
}

export class Group {
  readonly #ranked: readonly Ranked[];
  readonly #drawers: readonly Drawers[];
  readonly #unfiled: readonly Ranked[];

  constructor(candidates: readonly Candidate[]) {
    this.#ranked = candidates
      .toSorted(byPrecedence)
      .map((candidate, rank) => ({ candidate, rank }));
    const isLarge = candidates.length >= FILED_FROM;
    const { drawers, unfiled } = isLarge
      ? file(this.#ranked)
      : { drawers: [], unfiled: this.#ranked };
    this.#drawers = drawers;
    this.#unfiled = unfiled;
  }

  find(request: RequestView): Candidate | undefined {
    let best = firstOf(this.#unfiled, request, undefined);
    for (const { from, name, byValue } of this.#drawers) {
      const value = from === 'headers' ? request.header(name) : queryValue(request.query, name);
      const drawer = value === undefined ? undefined : byValue.get(value);
      if (drawer !== undefined) best = firstOf(drawer, request, best);
    }
    return best?.candidate;
  }
}

/** Precedence among matches of one path: method, more headers, more parameters, then who was first. */
export function byPrecedence(a: Candidate, b: Candidate): number {
  const [one, other] = [a.match, b.match];
  if ((one.method === '') !== (other.method === '')) return one.method === '' ? 1 : -1;
  if (one.headers.length !== other.headers.length) return other.headers.length - one.headers.length;
  if (one.query.length !== other.query.length) return other.query.length - one.query.length;
  return a.order - b.order;
}

function firstOf(
  ranked: readonly Ranked[],
  request: RequestView,
  best: Ranked | undefined,
): Ranked | undefined {
  for (const one of ranked) {
    if (best !== undefined && best.rank < one.rank) return best;
    if (passes(one.candidate, request)) return one;
  }
  return best;
}

function file(ranked: readonly Ranked[]): {
  readonly drawers: readonly Drawers[];
  readonly unfiled: readonly Ranked[];
} {
  const counts = new Map<string, number>();
  for (const { candidate } of ranked) {
    for (const key of keysOf(candidate)) counts.set(key.id, (counts.get(key.id) ?? 0) + 1);
  }
  const drawers = new Map<string, Drawers>();
  const unfiled: Ranked[] = [];
  for (const one of ranked) {
    const [best] = keysOf(one.candidate).toSorted(
      (a, b) => (counts.get(b.id) ?? 0) - (counts.get(a.id) ?? 0),
    );
    if (best === undefined) {
      unfiled.push(one);
      continue;
    }
    const { id, from, name, value } = best;
    const set = drawers.get(id) ?? { from, name, byValue: new Map<string, Ranked[]>() };
    drawers.set(id, set);
    const drawer = set.byValue.get(value);
    if (drawer === undefined) set.byValue.set(value, [one]);
    else drawer.push(one);
  }
  return { drawers: [...drawers.values()], unfiled };
}

function keysOf({ match }: Candidate): {
  readonly id: string;
  readonly from: 'headers' | 'query';
  readonly name: string;
  readonly value: string;
}[] {
  return (['headers', 'query'] as const).flatMap((from) =>
    match[from]
      .filter(({ kind }) => kind === 'exact')
      .map(({ name, value }) => ({ id: `${from} ${name}`, from, name, value })),
  );
}

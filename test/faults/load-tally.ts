/** Counts what becomes of a load's requests, and works out the figures. Pure. */
import type { LoadFigures } from './load-messages.ts';

const SLOW_MS = 500;

interface Attempt {
  readonly startMs: number;
  readonly isGood: boolean;
}

export class Tally {
  readonly #startMs: number;
  readonly #latencies: number[] = [];
  readonly #freshMs: number[] = [];
  readonly #attempts = new Map<string, Attempt[]>();
  readonly #errors: Record<string, number> = {};
  #failed = 0;
  #troubledMs: number;
  #freshFailed = 0;
  wrong = 0;
  misidentified = 0;
  broken = 0;
  bulkBytes = 0;

  constructor(nowMs: number) {
    this.#startMs = nowMs;
    this.#troubledMs = nowMs;
  }

  good(ms: number, nowMs: number): void {
    this.#latencies.push(ms);
    if (ms > SLOW_MS) this.#troubledMs = nowMs;
  }

  bad(why: string, nowMs: number): void {
    this.#failed += 1;
    this.#troubledMs = nowMs;
    this.#note(why);
  }

  fresh(pair: string, startMs: number, endMs: number, why = ''): void {
    const isGood = why === '';
    if (!isGood || endMs - startMs > SLOW_MS) this.#troubledMs = endMs;
    if (isGood) this.#freshMs.push(endMs - startMs);
    else {
      this.#freshFailed += 1;
      this.#note(`new ${pair}: ${why}`);
    }
    const all = this.#attempts.get(pair);
    if (all === undefined) this.#attempts.set(pair, [{ startMs, isGood }]);
    else all.push({ startMs, isGood });
  }

  figures(nowMs: number): LoadFigures {
    const sorted = this.#latencies.toSorted((x, y) => x - y);
    const fresh = this.#freshMs.toSorted((x, y) => x - y);
    const spans = Array.from(this.#attempts.values(), (all) => spansOf(all));
    return {
      seconds: (nowMs - this.#startMs) / 1000,
      requests: sorted.length + this.#failed,
      failed: this.#failed,
      wrong: this.wrong,
      misidentified: this.misidentified,
      p50Ms: quantile(sorted, 0.5),
      p99Ms: quantile(sorted, 0.99),
      worstMs: quantile(sorted, 1),
      broken: this.broken,
      bulkMib: Math.round(this.bulkBytes / 2 ** 20),
      fresh: fresh.length + this.#freshFailed,
      freshFailed: this.#freshFailed,
      freshP99Ms: quantile(fresh, 0.99),
      freshWorstMs: quantile(fresh, 1),
      refusedMs: Math.max(0, ...spans.map(({ refusedMs }) => refusedMs)),
      gapMs: Math.max(0, ...spans.map(({ gapMs }) => gapMs)),
      troubledMs: Math.round(this.#troubledMs - this.#startMs),
      errors: this.#errors,
    };
  }

  #note(why: string): void {
    this.#errors[why] = (this.#errors[why] ?? 0) + 1;
  }
}

function spansOf(attempts: readonly Attempt[]): { refusedMs: number; gapMs: number } {
  const sorted = attempts.toSorted((x, y) => x.startMs - y.startMs);
  let firstBadMs: number | undefined;
  let lastGoodMs: number | undefined;
  let refusedMs = 0;
  let gapMs = 0;
  for (const { startMs, isGood } of sorted) {
    if (!isGood) {
      firstBadMs ??= startMs;
      continue;
    }
    if (firstBadMs !== undefined) refusedMs = Math.max(refusedMs, startMs - firstBadMs);
    if (lastGoodMs !== undefined) gapMs = Math.max(gapMs, startMs - lastGoodMs);
    firstBadMs = undefined;
    lastGoodMs = startMs;
  }
  const end = sorted.at(-1)?.startMs ?? 0;
  if (firstBadMs !== undefined) refusedMs = Math.max(refusedMs, end - firstBadMs);
  return { refusedMs: Math.round(refusedMs), gapMs: Math.round(gapMs) };
}

export function quantile(sorted: readonly number[], q: number): number {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
  return Math.round(value * 10) / 10;
}

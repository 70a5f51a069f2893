/** How long to wait before another attempt: doubling, bounded, and never in step with others. */

export interface BackoffOptions {
  readonly firstMs: number;
  readonly longestMs: number;
}

/**
 * Returns the wait after `failures` failures (from 1): between half and the whole of the doubled
 * step, by a `random` number from 0 to 1, so that many who failed together come back apart.
 */
export function backoffMs(failures: number, options: BackoffOptions, random: number): number {
  const step = options.firstMs * 2 ** Math.min(Math.max(failures, 1) - 1, 30);
  const most = Math.min(step, options.longestMs);
  return most * (0.5 + 0.5 * random);
}

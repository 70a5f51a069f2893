/**
 * What comes after a list or a watch: at once or after a wait, from where we are or from a new list.
 *
 * Pure. It never says "stop": every failure is followed by another attempt, at most half a minute
 * later. Waits begin at a second and double; whatever brought us forward begins them anew.
 */
import type { BackoffOptions } from '#common/backoff.ts';

export type Outcome =
  | { readonly what: 'listed' }
  | { readonly what: 'list-failed' }
  /** The server ended it, as it does after `timeoutSeconds`. */
  | { readonly what: 'watch-ended'; readonly lastedMs: number }
  /** `status` is 0 when there was no answer, or it stopped coming. */
  | { readonly what: 'watch-failed'; readonly status: number; readonly lastedMs: number }
  /** The version, or the token of the next page, is too old (410). */
  | { readonly what: 'expired' };

export interface Pace {
  /** In a row, without progress between. */
  readonly failures: number;
  /** Watches in a row that were refused for where they begin, as far as one can tell. */
  readonly refusals: number;
}

export interface Step {
  readonly pace: Pace;
  readonly waits: boolean;
  readonly relists: boolean;
}

export const BEGINNING: Pace = { failures: 0, refusals: 0 };

/** 0.8 to 1.6 s after the first failure, 15 to 30 s in the end. */
export const BACKOFF: BackoffOptions = { firstMs: 1600, longestMs: 30_000 };

/** A watch that lived this long was good, whatever ended it. */
const GOOD_WATCH_MS = 10_000;
/** A server that ends watches faster than this is not asked again at once. */
const HASTY_WATCH_MS = 1000;
/**
 * What a server answers to a version that it cannot begin at, such as one from before its store was put
 * back to an older state. Not 429 and the like: a busy server is not helped by another list.
 */
const REFUSALS = [400, 422, 504];
/** Refused this often in a row, we list again. */
const MAX_REFUSALS = 3;

export function nextStep(pace: Pace, outcome: Outcome): Step {
  const failures = pace.failures + 1;
  switch (outcome.what) {
    case 'listed':
      // Not yet a reason to begin waits anew: the watch after it may expire again and again.
      return { pace: { ...pace, refusals: 0 }, waits: false, relists: false };
    case 'list-failed':
      return { pace: { ...pace, failures }, waits: true, relists: true };
    case 'expired':
      return { pace: { failures, refusals: 0 }, waits: pace.failures > 0, relists: true };
    case 'watch-ended':
      return outcome.lastedMs < HASTY_WATCH_MS
        ? { pace: { ...pace, failures }, waits: true, relists: false }
        : { pace: BEGINNING, waits: false, relists: false };
    case 'watch-failed':
      break;
  }
  if (outcome.lastedMs >= GOOD_WATCH_MS) {
    return { pace: { failures: 1, refusals: 0 }, waits: true, relists: false };
  }
  const refusals = pace.refusals + (REFUSALS.includes(outcome.status) ? 1 : 0);
  const relists = refusals >= MAX_REFUSALS;
  return { pace: { failures, refusals: relists ? 0 : refusals }, waits: true, relists };
}

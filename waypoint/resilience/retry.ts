/**
 * Whether a request is tried again, when, and out of which budget.
 *
 * A retry never repeats an effect by itself: what is not idempotent is tried again only when nothing
 * of it can have reached an application, or when the author has said so. The budget bounds retries by
 * the requests of the last ten seconds, so that a service in trouble does not get twice the load.
 */
import type { RetryBudgetPolicy, RetryPolicy } from '#common/mesh/backend-policy.ts';

/** What became of an attempt. */
export type Attempt =
  /** An answer with this status had begun; nothing of it has been passed on. */
  | { readonly kind: 'status'; readonly status: number }
  /** No connection: the request cannot have been seen. */
  | { readonly kind: 'not-sent' }
  /** Ended without an answer after something had been sent. */
  | { readonly kind: 'reset' }
  | { readonly kind: 'timeout' };

export interface RetryQuestion {
  readonly policy: RetryPolicy;
  readonly method: string;
  /** Attempts after the first that were made already. */
  readonly retries: number;
  readonly attempt: Attempt;
  /** Whether the body is at hand from its first byte. */
  readonly isBodyKept: boolean;
}

const IDEMPOTENT: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PUT',
  'DELETE',
]);

/** Says whether an attempt is worth another, as far as request and policy go; ask the budget next. */
export function mayRetry(question: RetryQuestion): boolean {
  const { policy, attempt, retries, isBodyKept } = question;
  if (retries >= policy.attempts || !isBodyKept) return false;
  if (attempt.kind === 'not-sent') return true;
  if (!policy.nonIdempotent && !IDEMPOTENT.has(question.method)) return false;
  return attempt.kind !== 'status' || policy.codes.includes(attempt.status);
}

/**
 * Milliseconds before the next attempt: never less than the back-off, doubled each time up to its
 * limit, and spread by chance over as much again.
 */
export function retryDelay(policy: RetryPolicy, retries: number, random: () => number): number {
  const { backoffMs, backoffMaxMs } = policy;
  const base = Math.min(backoffMs * 2 ** retries, Math.max(backoffMs, backoffMaxMs));
  return base + Math.floor(random() * base);
}

const WINDOW_S = 10;

export class RetryBudget {
  readonly #policy: RetryBudgetPolicy;
  readonly #requests = new Int32Array(WINDOW_S);
  readonly #retries = new Int32Array(WINDOW_S);
  #second = 0;
  #requestSum = 0;
  #retrySum = 0;

  constructor(policy: RetryBudgetPolicy) {
    this.#policy = policy;
  }

  /** To be called for each first attempt. */
  request(nowMs: number): void {
    this.#turn(nowMs);
    this.#add(this.#requests, 1);
    this.#requestSum += 1;
  }

  /** Takes a retry from the budget; false when there is none left. */
  take(nowMs: number): boolean {
    this.#turn(nowMs);
    const { share, minPerSecond } = this.#policy;
    if (this.#retrySum >= Math.max(share * this.#requestSum, minPerSecond * WINDOW_S)) return false;
    this.#add(this.#retries, 1);
    this.#retrySum += 1;
    return true;
  }

  #add(buckets: Int32Array, count: number): void {
    const at = this.#second % WINDOW_S;
    buckets[at] = (buckets[at] ?? 0) + count;
  }

  /** Forgets the seconds that have left the window. */
  #turn(nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    const passed = Math.min(second - this.#second, WINDOW_S);
    for (let i = 1; i <= passed; i += 1) {
      const at = (second - passed + i) % WINDOW_S;
      this.#requestSum -= this.#requests[at] ?? 0;
      this.#retrySum -= this.#retries[at] ?? 0;
      this.#requests[at] = 0;
      this.#retries[at] = 0;
    }
    if (passed > 0) this.#second = second;
  }
}

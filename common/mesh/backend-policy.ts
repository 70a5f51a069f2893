/**
 * How a waypoint treats the endpoints of one service: balancing, retries, limits, ejection.
 *
 * Plain data, whole: whoever makes one fills in what its author left out from the defaults here, so
 * nobody further in has to know a default. docs/routing.md has the reasons for the numbers.
 */
export type BalancerKind =
  'random' | 'round-robin' | 'least-request' | 'peak-ewma' | 'ring-hash' | 'maglev';

/** What a consistent hash is made of; a request without it is balanced at random. */
export type HashSource =
  { readonly kind: 'header' | 'cookie'; readonly name: string } | { readonly kind: 'source' };

export interface BackendPolicy {
  readonly balancer: BalancerKind;
  readonly hash: HashSource | undefined;
  /** An endpoint that is new gets its full share after so long; 0 for at once. */
  readonly warmUpMs: number;
  readonly retry: RetryPolicy;
  readonly budget: RetryBudgetPolicy;
  readonly limits: CircuitLimits;
  /** Undefined: nobody is put out for what it answered. */
  readonly ejection: EjectionPolicy | undefined;
}

export interface RetryPolicy {
  /** Attempts after the first; 0 for none. */
  readonly attempts: number;
  /** Statuses that are tried again. */
  readonly codes: readonly number[];
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
  /** Also requests that may have had an effect already and would have it twice. */
  readonly nonIdempotent: boolean;
}

export interface RetryBudgetPolicy {
  /** Retries may be this share of the requests of the last ten seconds. */
  readonly share: number;
  /** And this many a second in any case, so that a quiet service can retry at all. */
  readonly minPerSecond: number;
}

/** At one waypoint worker; what goes beyond is refused at once with 503. */
export interface CircuitLimits {
  readonly connections: number;
  readonly pending: number;
  readonly requests: number;
  readonly retries: number;
}

export interface EjectionPolicy {
  /** In a row; 0 for never. A failed connect counts in all three. */
  readonly consecutive5xx: number;
  /** 502, 503 and 504. */
  readonly consecutiveGatewayErrors: number;
  readonly consecutiveConnectFailures: number;
  readonly successRate: SuccessRatePolicy | undefined;
  /** The first time; it grows with each time in a row. */
  readonly baseMs: number;
  readonly maxMs: number;
  /** At most this share of the endpoints is out at once, from 0 to 1; always at least one may be. */
  readonly maxShare: number;
  /** With less than this share left, ejections are ignored: a poor endpoint is better than none. */
  readonly panicShare: number;
}

export interface SuccessRatePolicy {
  readonly intervalMs: number;
  /** An endpoint with fewer requests in an interval is not judged by it. */
  readonly minRequests: number;
  /** And with fewer endpoints that have so many, nobody is. */
  readonly minEndpoints: number;
  /** Out is who lies more than so many standard deviations below the mean. */
  readonly deviations: number;
}

export const DEFAULT_BACKEND_POLICY: BackendPolicy = {
  balancer: 'least-request',
  hash: undefined,
  warmUpMs: 0,
  retry: { attempts: 0, codes: [], backoffMs: 25, backoffMaxMs: 250, nonIdempotent: false },
  budget: { share: 0.2, minPerSecond: 10 },
  limits: { connections: 1024, pending: 1024, requests: 4096, retries: 256 },
  ejection: {
    consecutive5xx: 0,
    consecutiveGatewayErrors: 5,
    consecutiveConnectFailures: 2,
    successRate: undefined,
    baseMs: 5000,
    maxMs: 300_000,
    maxShare: 0.5,
    panicShare: 0.3,
  },
};

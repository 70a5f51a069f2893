/**
 * Passive health: who answers badly is put out for a while, and comes back on probation.
 *
 * When its time is over it gets one request at a time; the first success brings it back, a failure
 * puts it out for longer. Never is more than the allowed share out, but one may always be.
 */
import type { EjectionPolicy, SuccessRatePolicy } from '#common/mesh/backend-policy.ts';
import type { Endpoint } from './endpoint.ts';
import type { EndpointSet } from './endpoint-set.ts';

/**
 * What came of a request. `abandoned` is no fault of the endpoint: the client went away, or a limit
 * of ours was met.
 */
export type Outcome = 'ok' | 'server-error' | 'gateway-error' | 'connect-failed' | 'abandoned';

/** Who was put out or came back, and why, for logs and metrics. */
export type OnEjection = (endpoint: Endpoint, what: 'out' | 'in', reason: string) => void;

/** Returns the outcome that a status of HTTP stands for. */
export function outcomeOfStatus(status: number): Outcome {
  if (status < 500) return 'ok';
  return status >= 502 && status <= 504 ? 'gateway-error' : 'server-error';
}

/** UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE and DATA_LOSS are faults of a server of gRPC. */
export function outcomeOfGrpc(status: number): Outcome {
  if (status === 14 || status === 4) return 'gateway-error';
  return status === 2 || status === 13 || status === 15 ? 'server-error' : 'ok';
}

export class Ejector {
  readonly #set: EndpointSet;
  readonly #policy: EjectionPolicy;
  readonly #told: OnEjection;
  #sweptAtMs: number;

  constructor(
    set: EndpointSet,
    policy: EjectionPolicy,
    options: { readonly nowMs: number; readonly told: OnEjection },
  ) {
    this.#set = set;
    this.#policy = policy;
    this.#told = options.told;
    this.#sweptAtMs = options.nowMs;
  }

  /**
   * To be called when a request goes to an endpoint; `ended` must follow, with what this returns:
   * whether it is the one request that an endpoint on probation gets.
   */
  began(endpoint: Endpoint, nowMs: number): boolean {
    endpoint.active += 1;
    const isProbe = endpoint.isOut && nowMs >= endpoint.outUntilMs && !endpoint.isProbing;
    if (isProbe) endpoint.isProbing = true;
    return isProbe;
  }

  /** To be called once for each that began. */
  ended(endpoint: Endpoint, isProbe: boolean, result: { outcome: Outcome; nowMs: number }): void {
    const { outcome, nowMs } = result;
    endpoint.active -= 1;
    if (isProbe) endpoint.isProbing = false;
    if (outcome === 'abandoned') return;
    endpoint.total += 1;
    if (outcome === 'ok') {
      endpoint.succeeded += 1;
      forgive(endpoint);
      if (endpoint.isOut && isProbe) this.#bringBack(endpoint);
      return;
    }
    const reason = this.#count(endpoint, outcome);
    if (endpoint.isOut) {
      if (isProbe) this.#putOut(endpoint, 'failed on probation', nowMs);
    } else if (reason !== '' && this.#mayPutOut()) {
      this.#putOut(endpoint, reason, nowMs);
    }
  }

  /** To be called now and then: judges the success rates of an interval that is over. */
  sweep(nowMs: number): void {
    const { successRate } = this.#policy;
    const intervalMs = successRate?.intervalMs ?? 10_000;
    if (nowMs - this.#sweptAtMs < intervalMs) return;
    this.#sweptAtMs = nowMs;
    if (successRate !== undefined) this.#judgeRates(successRate, nowMs);
    for (const endpoint of this.#set.all()) {
      endpoint.total = 0;
      endpoint.succeeded = 0;
      // An interval in peace makes the next ejection shorter.
      if (!endpoint.isOut && endpoint.ejections > 0) endpoint.ejections -= 1;
    }
  }

  #count(endpoint: Endpoint, outcome: Outcome): string {
    const policy = this.#policy;
    endpoint.failures5xx += 1;
    endpoint.failuresGateway = outcome === 'server-error' ? 0 : endpoint.failuresGateway + 1;
    endpoint.failuresConnect = outcome === 'connect-failed' ? endpoint.failuresConnect + 1 : 0;
    if (isReached(endpoint.failuresConnect, policy.consecutiveConnectFailures)) {
      return `${endpoint.failuresConnect} failed connects in a row`;
    }
    if (isReached(endpoint.failuresGateway, policy.consecutiveGatewayErrors)) {
      return `${endpoint.failuresGateway} gateway errors in a row`;
    }
    if (isReached(endpoint.failures5xx, policy.consecutive5xx)) {
      return `${endpoint.failures5xx} server errors in a row`;
    }
    return '';
  }

  #judgeRates({ minRequests, minEndpoints, deviations }: SuccessRatePolicy, nowMs: number): void {
    const judged = [...this.#set.all()].filter(
      (one) => !one.isOut && one.total > 0 && one.total >= minRequests,
    );
    if (judged.length === 0 || judged.length < minEndpoints) return;
    const rate = (one: Endpoint): number => one.succeeded / one.total;
    const mean = judged.reduce((sum, one) => sum + rate(one), 0) / judged.length;
    const variance = judged.reduce((sum, one) => sum + (rate(one) - mean) ** 2, 0) / judged.length;
    const floor = mean - deviations * Math.sqrt(variance);
    for (const one of judged.toSorted((a, b) => rate(a) - rate(b))) {
      if (rate(one) >= floor || !this.#mayPutOut()) break;
      const share = `${Math.round(rate(one) * 100)} % succeeded, ${Math.round(mean * 100)} % elsewhere`;
      this.#putOut(one, share, nowMs);
    }
  }

  #mayPutOut(): boolean {
    const allowed = Math.max(1, Math.floor(this.#set.size * this.#policy.maxShare));
    return this.#set.out < allowed;
  }

  #putOut(endpoint: Endpoint, reason: string, nowMs: number): void {
    endpoint.ejections += 1;
    const { baseMs, maxMs } = this.#policy;
    endpoint.outUntilMs = nowMs + Math.min(baseMs * endpoint.ejections, maxMs);
    forgive(endpoint);
    this.#set.setOut(endpoint, true);
    this.#told(endpoint, 'out', reason);
  }

  #bringBack(endpoint: Endpoint): void {
    this.#set.setOut(endpoint, false);
    this.#told(endpoint, 'in', 'answered on probation');
  }
}

function isReached(count: number, limit: number): boolean {
  return limit > 0 && count >= limit;
}

function forgive(endpoint: Endpoint): void {
  endpoint.failures5xx = 0;
  endpoint.failuresGateway = 0;
  endpoint.failuresConnect = 0;
}

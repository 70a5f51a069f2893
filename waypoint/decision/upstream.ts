/**
 * One port of one service as a waypoint worker calls it: its endpoints, and all that is remembered of
 * them between requests.
 *
 * Every call is begun and ended here, so counts of what is under way, latencies, ejection, limits and
 * the retry budget cannot disagree.
 */
import type { BackendPolicy } from '#common/mesh/backend-policy.ts';
import type { Target } from '#common/decide/target.ts';
import { pickEndpoint } from '../resilience/balancer.ts';
import type { Ask } from '../resilience/balancer.ts';
import { Circuit } from '../resilience/circuit.ts';
import { Ejector } from '../resilience/ejection.ts';
import type { OnEjection, Outcome } from '../resilience/ejection.ts';
import type { Endpoint } from '../resilience/endpoint.ts';
import { EndpointSet } from '../resilience/endpoint-set.ts';
import { RetryBudget } from '../resilience/retry.ts';
import type { Placed } from './endpoints.ts';

/** A call under way. */
export interface Call {
  readonly endpoint: Endpoint;
  readonly target: Target;
  readonly isRetry: boolean;
  readonly isProbe: boolean;
  readonly beganMs: number;
}

export class Upstream {
  readonly name: string;
  readonly policy: BackendPolicy;
  readonly set = new EndpointSet();
  readonly circuit: Circuit;
  readonly budget: RetryBudget;
  readonly #ejector: Ejector | undefined;
  readonly #targets = new Map<string, Target>();

  constructor(
    name: string,
    policy: BackendPolicy,
    options: { readonly nowMs: number; readonly told: OnEjection },
  ) {
    this.name = name;
    this.policy = policy;
    this.circuit = new Circuit(policy.limits);
    this.budget = new RetryBudget(policy.budget);
    this.#ejector = policy.ejection && new Ejector(this.set, policy.ejection, options);
  }

  update(placed: readonly Placed[], nowMs: number): void {
    this.set.update(
      placed.map(({ spec }) => spec),
      nowMs,
    );
    this.#targets.clear();
    for (const { spec, target } of placed) this.#targets.set(spec.id, target);
  }

  pick(ask: Ask): Endpoint | undefined {
    this.#ejector?.sweep(ask.nowMs);
    return pickEndpoint(this.set, this.policy, ask);
  }

  /**
   * Begins a call; undefined when a limit is reached or the retry budget is spent. Otherwise `end`
   * must follow, once.
   */
  begin(endpoint: Endpoint, isRetry: boolean, nowMs: number): Call | undefined {
    const target = this.#targets.get(endpoint.id);
    if (target === undefined || !this.circuit.enter('requests')) return undefined;
    if (isRetry && !this.#beginRetry(nowMs)) {
      this.circuit.leave('requests');
      return undefined;
    }
    if (!isRetry) this.budget.request(nowMs);
    let isProbe = false;
    if (this.#ejector === undefined) endpoint.active += 1;
    else isProbe = this.#ejector.began(endpoint, nowMs);
    return { endpoint, target, isRetry, isProbe, beganMs: nowMs };
  }

  end(call: Call, outcome: Outcome, nowMs: number): void {
    const { endpoint, isProbe, isRetry } = call;
    this.circuit.leave('requests');
    if (isRetry) this.circuit.leave('retries');
    // An answer that never came says nothing of how fast answers are.
    if (outcome === 'ok' || outcome === 'server-error') {
      endpoint.observe(nowMs - call.beganMs, nowMs);
    }
    if (this.#ejector === undefined) endpoint.active -= 1;
    else this.#ejector.ended(endpoint, isProbe, { outcome, nowMs });
  }

  #beginRetry(nowMs: number): boolean {
    if (!this.circuit.enter('retries')) return false;
    if (this.budget.take(nowMs)) return true;
    this.circuit.leave('retries');
    return false;
  }
}

/**
 * Requests in made-up time against endpoints that behave as told, balanced by the product's own code:
 * who got how many, how they ended, how long they took.
 */
import type { BackendPolicy } from '#common/mesh/backend-policy.ts';
import { DEFAULT_BACKEND_POLICY } from '#common/mesh/backend-policy.ts';
import { pickEndpoint } from '../../waypoint/resilience/balancer.ts';
import { Ejector } from '../../waypoint/resilience/ejection.ts';
import type { Outcome } from '../../waypoint/resilience/ejection.ts';
import type { Endpoint, EndpointSpec } from '../../waypoint/resilience/endpoint.ts';
import { EndpointSet } from '../../waypoint/resilience/endpoint-set.ts';
import { hashText } from '../../waypoint/resilience/hash.ts';
import { randomFrom } from './mesh-random.ts';

export interface Backend {
  readonly id: string;
  readonly weight?: number;
  readonly level?: number;
  /** Time that a request takes when `active` are under way, itself counted. */
  readonly latencyMs?: (active: number, nowMs: number) => number;
  readonly outcome?: (nowMs: number, random: () => number) => Outcome;
  /** When it becomes known; 0 for from the start. */
  readonly fromMs?: number;
}

export interface Simulation {
  readonly backends: readonly Backend[];
  readonly policy?: Partial<BackendPolicy>;
  readonly requests: number;
  /** Mean time between requests, which come by chance. */
  readonly everyMs?: number;
  /** What the i-th request is hashed by. */
  readonly key?: (i: number) => string;
  readonly seed?: number;
}

export interface Result {
  readonly counts: Readonly<Record<string, number>>;
  /** Of the last tenth of the requests. */
  readonly lateCounts: Readonly<Record<string, number>>;
  readonly outcomes: Readonly<Partial<Record<Outcome | 'none', number>>>;
  readonly latencies: readonly number[];
  /** `12.3 s out a: 5 gateway errors in a row`. */
  readonly events: readonly string[];
}

export function simulate(simulation: Simulation): Result {
  const { backends, requests, everyMs = 10, key, seed = 1 } = simulation;
  const policy: BackendPolicy = { ...DEFAULT_BACKEND_POLICY, ...simulation.policy };
  const random = randomFrom(seed);
  const set = new EndpointSet();
  const events: string[] = [];
  let nowMs = 0;
  const ejector =
    policy.ejection &&
    new Ejector(set, policy.ejection, {
      nowMs,
      told: ({ id }, what, reason) => {
        events.push(`${(nowMs / 1000).toFixed(1)} s ${what} ${id}: ${reason}`);
      },
    });
  const byId = new Map(backends.map((one) => [one.id, one]));
  const running: {
    endMs: number;
    endpoint: Endpoint;
    isProbe: boolean;
    outcome: Outcome;
    ms: number;
  }[] = [];
  const counts: Record<string, number> = {};
  const lateCounts: Record<string, number> = {};
  const outcomes: Partial<Record<Outcome | 'none', number>> = {};
  const latencies: number[] = [];
  let known = 0;

  const finish = (until: number): void => {
    for (;;) {
      let next = -1;
      for (const [i, one] of running.entries()) {
        if (one.endMs <= until && one.endMs < (running[next]?.endMs ?? Infinity)) next = i;
      }
      const [ended] = next === -1 ? [] : running.splice(next, 1);
      if (ended === undefined) return;
      nowMs = ended.endMs;
      ended.endpoint.observe(ended.ms, nowMs);
      if (ejector === undefined) ended.endpoint.active -= 1;
      else ejector.ended(ended.endpoint, ended.isProbe, { outcome: ended.outcome, nowMs });
      outcomes[ended.outcome] = (outcomes[ended.outcome] ?? 0) + 1;
      latencies.push(ended.ms);
    }
  };

  for (let i = 0, at = 0; i < requests; i += 1) {
    at += -Math.log(1 - random()) * everyMs;
    finish(at);
    nowMs = at;
    const there = backends.filter(({ fromMs = 0 }) => fromMs <= at);
    if (there.length !== known) {
      known = there.length;
      set.update(there.map(specOf), at);
    }
    ejector?.sweep(at);
    const hash = key === undefined ? undefined : hashText(key(i));
    const picked = pickEndpoint(set, policy, { nowMs: at, random, hash, tried: undefined });
    if (picked === undefined) {
      outcomes.none = (outcomes.none ?? 0) + 1;
      continue;
    }
    counts[picked.id] = (counts[picked.id] ?? 0) + 1;
    if (i >= requests * 0.9) lateCounts[picked.id] = (lateCounts[picked.id] ?? 0) + 1;
    const backend = byId.get(picked.id);
    let isProbe = false;
    if (ejector === undefined) picked.active += 1;
    else isProbe = ejector.began(picked, at);
    const ms = backend?.latencyMs?.(picked.active, at) ?? 5;
    const outcome = backend?.outcome?.(at, random) ?? 'ok';
    running.push({ endMs: at + ms, endpoint: picked, isProbe, outcome, ms });
  }
  finish(Infinity);
  return { counts, lateCounts, outcomes, latencies, events };
}

export function specOf({ id, weight = 1, level = 0 }: Backend): EndpointSpec {
  return { id, weight, level };
}

/** The share of the requests that an endpoint got, from 0 to 1. */
export function shareOf({ counts }: Pick<Result, 'counts'>, id: string): number {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return (counts[id] ?? 0) / total;
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

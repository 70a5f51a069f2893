/**
 * One endpoint as balancing sees it: what it is worth, how busy and how fast it is, and whether it
 * is out. One for each worker; it lives for as long as the endpoint is known.
 */

/** An endpoint as discovery names it. */
export interface EndpointSpec {
  /** The uid of the workload. */
  readonly id: string;
  /** Above 0. */
  readonly weight: number;
  /** How far away: 0 is the nearest, the next level takes what the one before cannot. */
  readonly level: number;
}

/** Whoever counts the endpoints that are out. */
export interface Home {
  out: number;
}

/** Time after which half of what was seen of latency is forgotten. */
const EWMA_HALF_LIFE_MS = 5000;
/** What is thought of one that has not answered yet. */
const EWMA_START_MS = 30;
/** A warming endpoint gets at least this share of its weight. */
const WARM_UP_FLOOR = 0.1;

export class Endpoint {
  readonly id: string;
  /** For the sessions that stay with it; tells nobody where it is. */
  readonly token: string;
  weight: number;
  level: number;
  readonly sinceMs: number;
  /** Requests under way. */
  active = 0;
  /** In a row, for ejection. */
  failures5xx = 0;
  failuresGateway = 0;
  failuresConnect = 0;
  /** In this interval, for the success rate. */
  total = 0;
  succeeded = 0;
  /** How often in a row it was put out. */
  ejections = 0;
  /** Put out. When its time is over it is on probation, until a request has shown that it answers. */
  isOut = false;
  outUntilMs = 0;
  /** Its level, which counts who of it is out. */
  home: Home | undefined;
  isProbing = false;
  #ewmaMs = EWMA_START_MS;
  #ewmaAtMs = 0;

  constructor(spec: EndpointSpec, token: string, nowMs: number) {
    this.id = spec.id;
    this.token = token;
    this.weight = spec.weight;
    this.level = spec.level;
    this.sinceMs = nowMs;
    this.#ewmaAtMs = nowMs;
  }

  /** Takes note of a latency: a peak counts at once, and is forgotten slowly. */
  observe(latencyMs: number, nowMs: number): void {
    const known = this.latency(nowMs);
    if (latencyMs > known) {
      this.#ewmaMs = latencyMs;
    } else {
      const kept = 2 ** (-Math.max(0, nowMs - this.#ewmaAtMs) / EWMA_HALF_LIFE_MS);
      this.#ewmaMs = this.#ewmaMs * kept + latencyMs * (1 - kept);
    }
    this.#ewmaAtMs = nowMs;
  }

  /** The latency to be expected; without news it sinks, so that a slow one is tried again. */
  latency(nowMs: number): number {
    const kept = 2 ** (-Math.max(0, nowMs - this.#ewmaAtMs) / EWMA_HALF_LIFE_MS);
    return this.#ewmaMs * kept;
  }

  /** The share of its weight that it gets while it warms up, from the floor to 1. */
  warmth(nowMs: number, warmUpMs: number): number {
    const age = nowMs - this.sinceMs;
    return age >= warmUpMs ? 1 : Math.max(WARM_UP_FLOOR, age / warmUpMs);
  }

  /** Says whether it may be given a request: once its time of being out is over, one at a time. */
  isAvailable(nowMs: number): boolean {
    return !this.isOut || (nowMs >= this.outUntilMs && !this.isProbing);
  }
}

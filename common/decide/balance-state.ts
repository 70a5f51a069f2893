/**
 * What balancing remembers from connection to connection; one for each worker, bounded everywhere.
 *
 * Nothing here is needed for a correct choice: it makes choices fairer, keeps clients with their
 * endpoint, and spares endpoints that have just failed to connect.
 */
import type { Plan } from './plan.ts';

export interface BalanceOptions {
  /** Milliseconds that never run backwards. */
  readonly now: () => number;
  /** From 0 to below 1. */
  readonly random: () => number;
}

const EJECTION_FIRST_MS = 2000;
const EJECTION_MAX_MS = 30_000;
/** A failure is forgotten when none has followed for this long after the ejection. */
const FAILURE_MEMORY_MS = 60_000;
const FAILURES_MAX = 10_000;
const AFFINITY_MAX = 65_536;
const PLANS_MAX = 2048;
const TURNS_MAX = 16_384;

interface Failure {
  count: number;
  until: number;
}

export class BalanceState {
  readonly now: () => number;
  readonly random: () => number;
  readonly #plans = new Map<string, Plan>();
  readonly #turns = new Map<string, number>();
  readonly #open = new Map<string, number>();
  readonly #failures = new Map<string, Failure>();
  readonly #affinity = new Map<string, { uid: string; until: number }>();

  constructor(options: BalanceOptions) {
    this.now = options.now;
    this.random = options.random;
  }

  /** To be called once for a connection that a target has got, and `closed` when it ends. */
  opened(uid: string): void {
    this.#open.set(uid, (this.#open.get(uid) ?? 0) + 1);
    this.#failures.delete(uid);
  }

  closed(uid: string): void {
    const left = (this.#open.get(uid) ?? 0) - 1;
    if (left > 0) this.#open.set(uid, left);
    else this.#open.delete(uid);
  }

  openConnections(uid: string): number {
    return this.#open.get(uid) ?? 0;
  }

  /** To be called when a target did not take a connection: it is left out for a while. */
  failed(uid: string): void {
    const now = this.now();
    const old = this.#failures.get(uid);
    const recent = old !== undefined && now < old.until + FAILURE_MEMORY_MS;
    const count = recent ? old.count + 1 : 1;
    const ejection = Math.min(EJECTION_FIRST_MS * 2 ** (count - 1), EJECTION_MAX_MS);
    put(this.#failures, uid, { count, until: now + ejection }, FAILURES_MAX);
  }

  /** Says whether it is worth asking `isEjected`. */
  get anyEjected(): boolean {
    return this.#failures.size > 0;
  }

  isEjected(uid: string): boolean {
    const failure = this.#failures.get(uid);
    return failure !== undefined && this.now() < failure.until;
  }

  /** Returns 0, 1, 2, … for one after another; begins anywhere, so workers do not march in step. */
  turn(key: string): number {
    const turn = this.#turns.get(key) ?? Math.floor(this.random() * 2 ** 20);
    put(this.#turns, key, turn + 1, TURNS_MAX);
    return turn;
  }

  /** Returns the endpoint that a client has, and keeps it for `seconds` more. */
  affinity(key: string, seconds: number): string | undefined {
    const kept = this.#affinity.get(key);
    if (kept === undefined || this.now() >= kept.until) return undefined;
    this.keepAffinity(key, kept.uid, seconds);
    return kept.uid;
  }

  keepAffinity(key: string, uid: string, seconds: number): void {
    put(this.#affinity, key, { uid, until: this.now() + seconds * 1000 }, AFFINITY_MAX);
  }

  plan(key: string): Plan | undefined {
    return this.#plans.get(key);
  }

  keepPlan(key: string, plan: Plan): void {
    put(this.#plans, key, plan, PLANS_MAX);
  }
}

/** Sets the youngest entry of a map that keeps its `limit` youngest. */
function put<V>(map: Map<string, V>, key: string, value: V, limit: number): void {
  map.delete(key);
  if (map.size >= limit) {
    const [oldest] = map.keys();
    if (oldest !== undefined) map.delete(oldest);
  }
  map.set(key, value);
}

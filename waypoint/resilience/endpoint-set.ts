/**
 * The endpoints of one service, level by level, and which of them may be given a request.
 *
 * A level takes as much as its available endpoints can bear (`OVERPROVISION`), and the rest spills
 * over to the next; so half a zone that is out moves part of the traffic, not all of it at once.
 */
import { Endpoint } from './endpoint.ts';
import type { EndpointSpec, Home } from './endpoint.ts';
import { hashText } from './hash.ts';

/** With 1/1.4 of its endpoints a level still takes all of its traffic. */
const OVERPROVISION = 1.4;

export class Level implements Home {
  readonly endpoints: readonly Endpoint[];
  /** Sums of weights up to and with each. */
  readonly sums: Float64Array;
  readonly total: number;
  readonly isUniform: boolean;
  /** A count that goes round, for round robin. */
  turn: number;
  /** How many are put out. */
  out = 0;
  readonly #made = new Map<string, unknown>();

  constructor(endpoints: readonly Endpoint[], turn: number) {
    this.endpoints = endpoints;
    this.turn = turn;
    let total = 0;
    this.sums = Float64Array.from(endpoints, ({ weight }) => (total += weight));
    this.total = total;
    this.isUniform = endpoints.every(({ weight }) => weight === endpoints[0]?.weight);
    for (const endpoint of endpoints) {
      endpoint.home = this;
      if (endpoint.isOut) this.out += 1;
    }
  }

  /** The endpoint at a share of the weights, from 0 to below 1. */
  at(share: number): Endpoint | undefined {
    const point = share * this.total;
    let [low, high] = [0, this.endpoints.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.sums[middle] ?? 0) > point) high = middle;
      else low = middle + 1;
    }
    return this.endpoints[low];
  }

  /** What an algorithm makes of the endpoints once, such as a ring. */
  made<T>(name: string, make: (endpoints: readonly Endpoint[]) => T): T {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each name is made by one function
    const known = this.#made.get(name) as T | undefined;
    if (known !== undefined) return known;
    const value = make(this.endpoints);
    this.#made.set(name, value);
    return value;
  }
}

export class EndpointSet {
  readonly #byId = new Map<string, Endpoint>();
  readonly #byToken = new Map<string, Endpoint>();
  #levels: readonly Level[] = [];

  get size(): number {
    return this.#byId.size;
  }

  get levels(): readonly Level[] {
    return this.#levels;
  }

  all(): Iterable<Endpoint> {
    return this.#byId.values();
  }

  get(id: string): Endpoint | undefined {
    return this.#byId.get(id);
  }

  /** Finds the endpoint that a session names. */
  withToken(token: string): Endpoint | undefined {
    return this.#byToken.get(token);
  }

  /** Makes the set hold exactly these; who stays keeps what is known of it. */
  update(specs: readonly EndpointSpec[], nowMs: number): void {
    const wanted = new Set(specs.map(({ id }) => id));
    for (const [id, { token }] of this.#byId) {
      if (wanted.has(id)) continue;
      this.#byId.delete(id);
      this.#byToken.delete(token);
    }
    for (const spec of specs) {
      const known = this.#byId.get(spec.id);
      if (known === undefined) {
        const endpoint = new Endpoint(spec, tokenOf(spec.id), nowMs);
        this.#byId.set(spec.id, endpoint);
        this.#byToken.set(endpoint.token, endpoint);
      } else {
        known.weight = spec.weight;
        known.level = spec.level;
      }
    }
    const byLevel = new Map<number, Endpoint[]>();
    // In the order of their names, so that every waypoint builds the same ring.
    const sorted = [...this.#byId.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
    for (const endpoint of sorted) {
      const members = byLevel.get(endpoint.level);
      if (members === undefined) byLevel.set(endpoint.level, [endpoint]);
      else members.push(endpoint);
    }
    const old = this.#levels;
    this.#levels = Array.from(byLevel)
      .toSorted(([a], [b]) => a - b)
      .map(([, members], i) => new Level(members, old[i]?.turn ?? 0));
  }

  /** How many endpoints are put out. */
  get out(): number {
    let out = 0;
    for (const level of this.#levels) out += level.out;
    return out;
  }

  /** Puts an endpoint out, or back in. */
  setOut(endpoint: Endpoint, isOut: boolean): void {
    if (endpoint.isOut === isOut) return;
    endpoint.isOut = isOut;
    if (endpoint.home !== undefined) endpoint.home.out += isOut ? 1 : -1;
  }

  /**
   * Which level a request goes to; `share` is from 0 to below 1. Levels bear what they can, in their
   * order; when all together cannot bear everything, each gets its part of what they can.
   */
  levelAt(share: number): number {
    const levels = this.#levels;
    if (levels.length <= 1) return 0;
    const bearable = levels.reduce((sum, level) => sum + bears(level), 0);
    let point = share * Math.min(1, bearable);
    for (const [i, level] of levels.entries()) {
      point -= bears(level);
      if (point < 0) return i;
    }
    return 0;
  }
}

function bears({ endpoints, out }: Level): number {
  return Math.min(1, ((endpoints.length - out) / endpoints.length) * OVERPROVISION);
}

function tokenOf(id: string): string {
  return hashText(id, 1).toString(36) + hashText(id, 2).toString(36);
}

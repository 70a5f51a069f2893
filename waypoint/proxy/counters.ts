/**
 * What a worker counts, in memory that main reads: each number has its place, nobody waits for anybody.
 */
export const COUNTS = [
  'connectionsOpened',
  'connectionsOpen',
  'requests',
  'ownAnswers',
  'status1xx',
  'status2xx',
  'status3xx',
  'status4xx',
  'status5xx',
  'cut',
  'retries',
  'badMessages',
  'timeouts',
  'upstreamsOpened',
  'upstreamsOpen',
  'upstreamsFailed',
  'linksOpen',
] as const;

export type Count = (typeof COUNTS)[number];

const PLACE = new Map<Count, number>(COUNTS.map((name, i) => [name, i]));
const FIRST_STATUS = COUNTS.indexOf('status1xx');

export function newCounterMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(8 * COUNTS.length);
}

export class Counters {
  readonly #values: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#values = new Float64Array(memory);
  }

  add(name: Count, by = 1): void {
    const place = PLACE.get(name) ?? 0;
    this.#values[place] = (this.#values[place] ?? 0) + by;
  }

  /** Counts a response by its class. */
  response(status: number): void {
    const place = FIRST_STATUS - 1 + Math.min(5, Math.max(1, Math.trunc(status / 100)));
    this.#values[place] = (this.#values[place] ?? 0) + 1;
  }

  read(name: Count): number {
    return this.#values[PLACE.get(name) ?? 0] ?? 0;
  }
}

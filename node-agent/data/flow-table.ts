/**
 * The counters of one worker, in memory that main reads whenever somebody asks.
 *
 * One row per set of labels (who speaks to whom, to which service, how secured), so counting a byte
 * is one addition to a typed array and no message. Only the worker writes and only main reads;
 * aligned 8-byte stores are whole on the machines we run on. Rows are bounded and never reused: once
 * they are all taken, further label sets share row 0.
 */
import { FLAGS } from './record.ts';
import type { Direction, ResponseFlag, Security } from './record.ts';

/** The half of the labels that describes one end. */
export interface FlowParty {
  readonly workload: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly namespace: string;
  readonly principal: string;
  readonly app: string;
  readonly version: string;
  readonly cluster: string;
}

export interface FlowLabels {
  readonly reporter: 'source' | 'destination';
  readonly source: FlowParty;
  readonly destination: FlowParty;
  /** Hostname, namespace and name of the service addressed. */
  readonly service: string;
  readonly serviceNamespace: string;
  readonly serviceName: string;
  readonly security: Security;
}

export interface FlowRow {
  readonly labels: FlowLabels | undefined;
  readonly opened: number;
  /** From client to server, whoever reports. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Connections that ended, by response flag. */
  readonly closed: Readonly<Record<ResponseFlag, number>>;
}

export const FLOW_ROWS = 4_096;
const OPENED = 0;
const REQUEST = 1;
const RESPONSE = 2;
const CLOSED = 3;
const WIDTH = 12;

/** What a worker counts beside its flows. */
export const TOTALS = [
  'inboundOpen',
  'outboundOpen',
  'tunnelsOpen',
  'serverTunnelsOpen',
  'tunnelsOpened',
  'tunnelsFailed',
  'handshakesAccepted',
  'handshakesFailed',
  'peersHeld',
  'tunnelsRefused',
  'accepted',
  'acceptPauses',
  'probes',
  'retries',
  'policyDenied',
  'policyChanged',
  'dryRunDenied',
  'recordsDropped',
  'loopPasses',
  'version',
  'dnsQueries',
  'dnsForwarded',
  'dnsFailed',
] as const;
export type Total = (typeof TOTALS)[number];
export type Totals = Readonly<Record<Total, number>>;

/** Those that fall as well as rise. */
const GAUGES: readonly Total[] = [
  'inboundOpen',
  'outboundOpen',
  'tunnelsOpen',
  'serverTunnelsOpen',
];

const INDEX = new Map<string, number>(TOTALS.map((name, index) => [name, index]));
const TOTALS_WIDTH = 64;
/** The one cell that main writes. */
const TAKEN = TOTALS_WIDTH - 1;

/** Makes the shared memory of one worker. */
export function newCounterMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer((TOTALS_WIDTH + FLOW_ROWS * WIDTH) * 8);
}

/** The worker's side. */
export class FlowTable {
  readonly #cells: Float64Array;
  readonly #rowByKey = new Map<string, number>();
  readonly #announce: (row: number, labels: FlowLabels) => void;
  #used = 1;

  constructor(memory: SharedArrayBuffer, announce: (row: number, labels: FlowLabels) => void) {
    this.#cells = new Float64Array(memory);
    this.#announce = announce;
  }

  /** The row of a label set; `labels` is asked for only when `key` is new. */
  rowOf(key: string, labels: () => FlowLabels): number {
    const known = this.#rowByKey.get(key);
    if (known !== undefined) return known;
    if (this.#used === FLOW_ROWS) return 0;
    const row = this.#used;
    this.#used += 1;
    this.#rowByKey.set(key, row);
    this.#announce(row, labels());
    return row;
  }

  opened(row: number): void {
    this.#add(row, OPENED, 1);
  }

  closed(row: number, flag: ResponseFlag): void {
    this.#add(row, CLOSED + FLAGS.indexOf(flag), 1);
  }

  request(row: number, bytes: number): void {
    this.#add(row, REQUEST, bytes);
  }

  response(row: number, bytes: number): void {
    this.#add(row, RESPONSE, bytes);
  }

  count(total: Total, change = 1): void {
    const at = INDEX.get(total) ?? TAKEN - 1;
    this.#cells[at] = (this.#cells[at] ?? 0) + change;
  }

  set(total: Total, value: number): void {
    this.#cells[INDEX.get(total) ?? TAKEN - 1] = value;
  }

  /** How many records main says it has taken. */
  recordsTaken(): number {
    return this.#cells[TAKEN] ?? 0;
  }

  #add(row: number, column: number, change: number): void {
    const at = TOTALS_WIDTH + row * WIDTH + column;
    this.#cells[at] = (this.#cells[at] ?? 0) + change;
  }
}

/** Main's side: what one worker has counted so far. */
export class FlowReader {
  readonly #cells: Float64Array;
  readonly #labels: (FlowLabels | undefined)[] = [undefined];

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Float64Array(memory);
  }

  /** Takes what the worker announced. */
  learn(row: number, labels: FlowLabels): void {
    this.#labels[row] = labels;
  }

  /** Tells the worker that main has taken so many more records. */
  tookRecords(count: number): void {
    this.#cells[TAKEN] = (this.#cells[TAKEN] ?? 0) + count;
  }

  totals(): Totals {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- made from the list of names
    return Object.fromEntries(
      TOTALS.map((name, index) => [name, this.#cells[index] ?? 0]),
    ) as Totals;
  }

  /** The worker is gone, and with it all that it had open. */
  endGauges(): void {
    for (const name of GAUGES) this.#cells[INDEX.get(name) ?? TAKEN - 1] = 0;
  }

  rows(): FlowRow[] {
    return this.#labels.map((labels, row) => {
      const at = TOTALS_WIDTH + row * WIDTH;
      const cell = (column: number): number => this.#cells[at + column] ?? 0;
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- made from the list of flags
      const closed = Object.fromEntries(
        FLAGS.map((flag, index) => [flag, cell(CLOSED + index)]),
      ) as Record<ResponseFlag, number>;
      return {
        labels,
        opened: cell(OPENED),
        requestBytes: cell(REQUEST),
        responseBytes: cell(RESPONSE),
        closed,
      };
    });
  }
}

/** Adds up the totals of several workers. */
export function sumTotals(all: readonly Totals[]): Totals {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- made from the list of names
  return Object.fromEntries(
    TOTALS.map((name) => [name, all.reduce((sum, totals) => sum + totals[name], 0)]),
  ) as Totals;
}

/** The reporter that stands for a direction. */
export function reporterOf(direction: Direction): FlowLabels['reporter'] {
  return direction === 'outbound' ? 'source' : 'destination';
}

/**
 * The door to prom-client: a registry, and metrics whose values are read when somebody scrapes.
 *
 * Hot code counts in plain numbers of its own and registers a function here that reports them, so a
 * scrape costs the scraper and a connection costs nothing. Series are reset and filled anew at each
 * scrape: what its owner no longer reports is gone.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

export interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  readonly read: () => Iterable<Sample>;
}

export interface HistogramOptions {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  readonly buckets: readonly number[];
}

/** Each sample wakes the process up: at the usual 10 ms, a hundred times a second for nothing. */
const LOOP_SAMPLE_MS = 200;

export class Metrics {
  readonly #registry = new Registry();

  /** Adds Node's own process metrics: CPU, memory, event loop, descriptors. */
  withProcess(): this {
    collectDefaultMetrics({
      register: this.#registry,
      eventLoopMonitoringPrecision: LOOP_SAMPLE_MS,
    });
    return this;
  }

  /** A value that only rises; `read` reports its totals. */
  counter({ name, help, labels = [], read }: MetricOptions): void {
    // oxlint-disable-next-line no-new -- it registers itself
    new Counter({
      name,
      help,
      labelNames: [...labels],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const sample of read()) this.inc({ ...sample.labels }, sample.value);
      },
    });
  }

  gauge({ name, help, labels = [], read }: MetricOptions): void {
    // oxlint-disable-next-line no-new -- it registers itself
    new Gauge({
      name,
      help,
      labelNames: [...labels],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const sample of read()) this.set({ ...sample.labels }, sample.value);
      },
    });
  }

  /** Returns a function that records one observation. */
  histogram({
    name,
    help,
    labels = [],
    buckets,
  }: HistogramOptions): (value: number, labels?: Labels) => void {
    const histogram = new Histogram({
      name,
      help,
      labelNames: [...labels],
      buckets: [...buckets],
      registers: [this.#registry],
    });
    return (value, of = {}) => histogram.observe({ ...of }, value);
  }

  readonly contentType = 'text/plain; version=0.0.4; charset=utf-8';

  /** Prometheus text format, version 0.0.4. */
  async text(): Promise<string> {
    return this.#registry.metrics();
  }
}

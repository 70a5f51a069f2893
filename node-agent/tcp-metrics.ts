/**
 * The `istio_tcp_*` metrics of this node, kept as plain numbers per set of labels.
 *
 * Labels are built once per set, not per connection. The number of sets is bounded: beyond
 * `MOST_SERIES` a connection is counted under a set whose labels are all `overflow`, so that a caller
 * who invents peers cannot fill our memory. A set that nobody used for `IDLE_MS` and that has no open
 * connection is dropped. No address, port or pod name is ever a label.
 */
import { identityParts, parseIdentity } from '#common/identity.ts';
import type { Labels, Metrics, Sample } from '#common/metrics.ts';
import type { Service } from '#common/mesh/service.ts';
import type { Workload } from '#common/mesh/workload.ts';
import type { ConnectionRecord, Party } from './data/record.ts';

export interface TcpMetricsDeps {
  readonly workload: (uid: string) => Workload | undefined;
  readonly service: (key: string) => Service | undefined;
  readonly now: () => number;
}

const MOST_SERIES = 10_000;
const IDLE_MS = 3_600_000;

const ENDS = [
  'workload',
  'canonical_service',
  'canonical_revision',
  'workload_namespace',
  'principal',
  'app',
  'version',
  'cluster',
] as const;

export const TCP_LABELS: readonly string[] = [
  'reporter',
  ...ENDS.map((name) => `source_${name}`),
  ...ENDS.map((name) => `destination_${name}`),
  'destination_service',
  'destination_service_name',
  'destination_service_namespace',
  'request_protocol',
  'response_flags',
  'connection_security_policy',
];

interface Series {
  readonly labels: Labels;
  opened: number;
  closed: number;
  failed: number;
  sent: number;
  received: number;
  usedAt: number;
}

interface Live {
  readonly series: Series;
  sent: number;
  received: number;
}

interface Verdicts {
  readonly labels: Labels;
  count: number;
}

export class TcpMetrics {
  readonly #deps: TcpMetricsDeps;
  readonly #series = new Map<string, Series>();
  /** Connections that were reported as still open: what of them is counted already. */
  readonly #live = new Map<string, Live>();
  readonly #verdicts = new Map<string, Verdicts>();
  #overflowed = 0;

  constructor(deps: TcpMetricsDeps) {
    this.#deps = deps;
  }

  /** Counts one record; those of a live connection may come any number of times before its last. */
  count(record: ConnectionRecord): void {
    const live = this.#live.get(record.id) ?? this.#open(record);
    // Istio's convention: a source reporter calls "received" what it sent, and the other way round.
    const flip = record.direction === 'outbound';
    const sent = record.bytesSent - live.sent;
    const received = record.bytesReceived - live.received;
    live.series.sent += flip ? received : sent;
    live.series.received += flip ? sent : received;
    live.sent = record.bytesSent;
    live.received = record.bytesReceived;
    live.series.usedAt = this.#deps.now();
    if (!record.ended) {
      this.#live.set(record.id, live);
      return;
    }
    this.#live.delete(record.id);
    const end = this.#find(record);
    end.usedAt = live.series.usedAt;
    // What ends badly has other flags than it was opened with; both series then stay in balance.
    if (end !== live.series) end.opened += 1;
    if (end !== live.series) live.series.opened -= 1;
    end.closed += 1;
    if (record.error !== undefined) end.failed += 1;
    this.#countVerdicts(record);
  }

  get series(): number {
    return this.#series.size;
  }

  /** Registers all metrics; docs/metrics.md has a row for each. */
  register(metrics: Metrics): void {
    const read = (value: (one: Series) => number) => (): Iterable<Sample> => this.#samples(value);
    const labels = TCP_LABELS;
    metrics.counter({
      name: 'istio_tcp_connections_opened_total',
      help: 'Connections opened',
      labels,
      read: read((s) => s.opened),
    });
    metrics.counter({
      name: 'istio_tcp_connections_closed_total',
      help: 'Connections closed',
      labels,
      read: read((s) => s.closed),
    });
    metrics.counter({
      name: 'istio_tcp_connections_failed_total',
      help: 'Connections refused or failed',
      labels,
      read: read((s) => s.failed),
    });
    metrics.counter({
      name: 'istio_tcp_sent_bytes_total',
      help: 'Bytes sent in responses',
      labels,
      read: read((s) => s.sent),
    });
    metrics.counter({
      name: 'istio_tcp_received_bytes_total',
      help: 'Bytes received in requests',
      labels,
      read: read((s) => s.received),
    });
    metrics.counter({
      name: 'plumbline_policy_verdicts_total',
      help: 'Connections by the policy that decided or would have decided',
      labels: ['policy', 'rule', 'verdict'],
      read: () =>
        Array.from(this.#verdicts.values(), ({ labels: of, count: value }) => ({
          labels: of,
          value,
        })),
    });
    metrics.gauge({
      name: 'plumbline_metric_series',
      help: 'Label sets of the TCP metrics',
      read: () => [{ value: this.#series.size }],
    });
    metrics.counter({
      name: 'plumbline_metric_series_overflow_total',
      help: 'Connections counted under overflow labels',
      read: () => [{ value: this.#overflowed }],
    });
  }

  #open(record: ConnectionRecord): Live {
    const series = this.#find(record);
    series.opened += 1;
    return { series, sent: 0, received: 0 };
  }

  #find(record: ConnectionRecord): Series {
    const key = [
      record.direction,
      record.source.workload,
      record.source.identity,
      record.destination.workload,
      record.destination.identity,
      record.service,
      record.flags,
      record.security,
    ].join('|');
    const found = this.#series.get(key);
    if (found !== undefined) return found;
    if (this.#series.size >= MOST_SERIES) {
      this.#overflowed += 1;
      return this.#take('overflow', overflowLabels());
    }
    return this.#take(key, this.#labels(record));
  }

  #take(key: string, labels: Labels): Series {
    const found = this.#series.get(key);
    if (found !== undefined) return found;
    const made = {
      labels,
      opened: 0,
      closed: 0,
      failed: 0,
      sent: 0,
      received: 0,
      usedAt: this.#deps.now(),
    };
    this.#series.set(key, made);
    return made;
  }

  /** Sets with equal labels (two pods of one deployment) are one series outside. */
  *#samples(value: (series: Series) => number): Iterable<Sample> {
    const merged = new Map<string, { labels: Labels; value: number }>();
    const now = this.#deps.now();
    for (const [key, series] of this.#series) {
      if (series.opened === series.closed && now - series.usedAt > IDLE_MS) {
        this.#series.delete(key);
        continue;
      }
      const id = Object.values(series.labels).join('|');
      const sum = merged.get(id);
      if (sum === undefined) merged.set(id, { labels: series.labels, value: value(series) });
      else sum.value += value(series);
    }
    yield* merged.values();
  }

  #countVerdicts(record: ConnectionRecord): void {
    if (record.policy !== undefined) this.#verdict(record.policy, record.rule ?? '', 'denied');
    for (const { policy, rule, wouldDeny } of record.audits ?? []) {
      this.#verdict(policy, rule, wouldDeny ? 'would-deny' : 'audited');
    }
  }

  #verdict(policy: string, rule: string, verdict: string): void {
    const key = `${policy}|${rule}|${verdict}`;
    const found = this.#verdicts.get(key);
    if (found !== undefined) found.count += 1;
    else if (this.#verdicts.size < MOST_SERIES) {
      this.#verdicts.set(key, { labels: { policy, rule, verdict }, count: 1 });
    }
  }

  #labels(record: ConnectionRecord): Labels {
    const service = this.#deps.service(record.service);
    return {
      reporter: record.direction === 'outbound' ? 'source' : 'destination',
      ...this.#end('source', record.source),
      ...this.#end('destination', record.destination),
      destination_service: service?.hostname ?? 'unknown',
      destination_service_name: service?.name ?? 'unknown',
      destination_service_namespace: service?.namespace ?? 'unknown',
      request_protocol: 'tcp',
      response_flags: record.flags,
      connection_security_policy: record.security,
    };
  }

  #end(side: 'source' | 'destination', party: Party): Labels {
    const workload = this.#deps.workload(party.workload);
    const identity = parseIdentity(party.identity);
    const namespace =
      workload?.namespace ?? (identity === undefined ? '' : identityParts(identity).namespace);
    return {
      [`${side}_workload`]: workload?.workloadName || 'unknown',
      [`${side}_canonical_service`]: workload?.canonicalName || 'unknown',
      [`${side}_canonical_revision`]: workload?.canonicalRevision || 'unknown',
      [`${side}_workload_namespace`]: namespace || 'unknown',
      [`${side}_principal`]: party.identity || 'unknown',
      [`${side}_app`]: workload?.canonicalName || 'unknown',
      [`${side}_version`]: workload?.canonicalRevision || 'unknown',
      [`${side}_cluster`]: workload?.cluster || 'unknown',
    };
  }
}

function overflowLabels(): Labels {
  return Object.fromEntries(TCP_LABELS.map((name) => [name, 'overflow']));
}

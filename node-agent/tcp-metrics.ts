/**
 * The `istio_tcp_*` metrics of this node, read from the counters of its data workers at each scrape.
 *
 * Rows of several workers, and of several pods of one deployment, that have the same labels are one
 * series. No address, port or pod name is ever a label. Rows and policy series are bounded; what
 * comes after that is counted under labels that all say `overflow`.
 */
import type { Labels, Metrics, Sample } from '#common/metrics.ts';
import type { FlowLabels, FlowParty, FlowRow } from './data/flow-table.ts';
import { FLAGS, type ConnectionRecord, type ResponseFlag } from './data/record.ts';

const MOST_POLICY_SERIES = 10_000;

const PARTY_LABELS: readonly (readonly [string, (party: FlowParty) => string])[] = [
  ['workload', (party) => party.workload],
  ['canonical_service', (party) => party.canonicalService],
  ['canonical_revision', (party) => party.canonicalRevision],
  ['workload_namespace', (party) => party.namespace],
  ['principal', (party) => party.principal],
  ['app', (party) => party.app],
  ['version', (party) => party.version],
  ['cluster', (party) => party.cluster],
];

/** The label names of every `istio_tcp_*` metric, in Istio's order. */
export const TCP_LABELS: readonly string[] = [
  'reporter',
  ...PARTY_LABELS.map(([name]) => `source_${name}`),
  ...PARTY_LABELS.map(([name]) => `destination_${name}`),
  'destination_service',
  'destination_service_name',
  'destination_service_namespace',
  'request_protocol',
  'response_flags',
  'connection_security_policy',
];

/** Spells the labels of a row; a row without labels is the one that overflowing rows share. */
export function tcpLabels(labels: FlowLabels | undefined, flag: ResponseFlag): Labels {
  if (labels === undefined) return Object.fromEntries(TCP_LABELS.map((name) => [name, 'overflow']));
  const of = (side: string, party: FlowParty) =>
    PARTY_LABELS.map(([name, read]) => [`${side}_${name}`, read(party) || 'unknown']);
  return Object.fromEntries([
    ['reporter', labels.reporter],
    ...of('source', labels.source),
    ...of('destination', labels.destination),
    ['destination_service', labels.service || 'unknown'],
    ['destination_service_name', labels.serviceName || 'unknown'],
    ['destination_service_namespace', labels.serviceNamespace || 'unknown'],
    ['request_protocol', 'tcp'],
    ['response_flags', flag],
    ['connection_security_policy', labels.security],
  ]);
}

/** Registers the TCP metrics; `rows` gives the rows of all workers. */
export function registerTcpMetrics(metrics: Metrics, rows: () => Iterable<FlowRow>): void {
  const plain = (value: (row: FlowRow) => number) => () =>
    merge(Array.from(rows(), (row) => ({ labels: tcpLabels(row.labels, '-'), value: value(row) })));
  const byFlag = (flags: readonly ResponseFlag[]) => () =>
    merge(
      Array.from(rows()).flatMap((row) =>
        flags.map((flag) => ({ labels: tcpLabels(row.labels, flag), value: row.closed[flag] })),
      ),
    );
  const counter = (name: string, help: string, read: () => Iterable<Sample>): void =>
    metrics.counter({ name: `istio_tcp_${name}`, help, labels: TCP_LABELS, read });
  // Istio's convention: "received" is what the client sent, "sent" what came back, on either side.
  counter(
    'received_bytes_total',
    'Bytes from client to server',
    plain((row) => row.requestBytes),
  );
  counter(
    'sent_bytes_total',
    'Bytes from server to client',
    plain((row) => row.responseBytes),
  );
  counter(
    'connections_opened_total',
    'Connections opened',
    plain((row) => row.opened),
  );
  counter('connections_closed_total', 'Connections ended, by how', byFlag(FLAGS));
  counter(
    'connections_failed_total',
    'Connections refused or failed, by why',
    byFlag(FLAGS.filter((flag) => flag !== '-')),
  );
}

/** Adds up samples of equal labels, and leaves out those that never moved. */
function* merge(samples: readonly Sample[]): Iterable<Sample> {
  const sums = new Map<string, { labels: Labels; value: number }>();
  for (const { labels = {}, value } of samples) {
    if (value === 0) continue;
    const key = Object.values(labels).join('|');
    const sum = sums.get(key);
    if (sum === undefined) sums.set(key, { labels, value });
    else sum.value += value;
  }
  yield* sums.values();
}

/** Counts what policies decided, and what audited or dry-run ones would have decided. */
export class PolicyVerdicts {
  readonly #series = new Map<string, { labels: Labels; count: number }>();

  count(record: ConnectionRecord): void {
    if (record.policy !== '') this.#add(record.policy, record.rule, 'denied');
    for (const { policy, rule, wouldDeny } of record.audits) {
      this.#add(policy, rule, wouldDeny ? 'would-deny' : 'audited');
    }
  }

  register(metrics: Metrics): void {
    metrics.counter({
      name: 'plumbline_policy_verdicts_total',
      help: 'Connections by the policy that denied, would have denied, or audits them',
      labels: ['policy', 'rule', 'verdict'],
      read: () =>
        Array.from(this.#series.values(), ({ labels, count }) => ({ labels, value: count })),
    });
  }

  #add(policy: string, rule: string, verdict: string): void {
    const full = this.#series.size >= MOST_POLICY_SERIES;
    const key = `${policy}|${rule}|${verdict}`;
    const found = this.#series.get(key) ?? (full ? this.#series.get('overflow') : undefined);
    if (found !== undefined) found.count += 1;
    else if (full) {
      this.#series.set('overflow', {
        labels: { policy: 'overflow', rule: 'overflow', verdict: 'overflow' },
        count: 1,
      });
    } else this.#series.set(key, { labels: { policy, rule, verdict }, count: 1 });
  }
}

/** Every metric of the agent, registered in one place; docs/metrics.md has a row for each. */
import { Metrics, type Sample } from '#common/metrics.ts';
import type { CaptureSet } from './capture/capture-set.ts';
import type { CniPart } from './cni-part.ts';
import type { DataPlane } from './data/data-plane.ts';
import type { Totals } from './data/flow-table.ts';
import type { CertificateStore } from './identity/certificate-store.ts';
import type { PodSet } from './pod-set.ts';
import { registerTcpMetrics, type PolicyVerdicts } from './tcp-metrics.ts';

export interface MetricsDeps {
  readonly node: string;
  readonly version: string;
  readonly dataPlane: DataPlane;
  readonly captures: CaptureSet;
  readonly pods: PodSet;
  /** Undefined where no plugin holds pods back. */
  readonly cni: CniPart | undefined;
  readonly certificates: CertificateStore;
  readonly verdicts: PolicyVerdicts;
  readonly isConnected: () => boolean;
  readonly meshVersion: () => number;
  readonly logLinesDropped: () => number;
}

export function agentMetrics(deps: MetricsDeps): Metrics {
  const metrics = new Metrics().withProcess();
  registerTcpMetrics(metrics, () => deps.dataPlane.flows());
  deps.verdicts.register(metrics);
  registerPods(metrics, deps);
  registerCapture(metrics, deps);
  if (deps.cni !== undefined) registerCni(metrics, deps.cni);
  registerData(metrics, () => deps.dataPlane.totals());
  metrics.counter({
    name: 'plumbline_worker_deaths_total',
    help: 'Data workers that died and took their connections with them',
    read: () => one(deps.dataPlane.deaths),
  });
  registerControl(metrics, deps);
  return metrics;
}

function registerPods(metrics: Metrics, { pods, captures }: MetricsDeps): void {
  const labelled = (): number => pods.states().filter(({ enrolled }) => enrolled).length;
  metrics.gauge({
    name: 'plumb_pods_labelled',
    help: 'Pods of this node that are to be captured',
    read: () => one(labelled()),
  });
  metrics.gauge({
    name: 'plumb_pods_proven',
    help: 'Pods whose capture the last probes proved',
    read: () => one(captures.proven),
  });
  metrics.gauge({
    name: 'plumb_pods_unproven',
    help: 'Labelled pods that are not proven captured; must be 0',
    read: () => one(labelled() - captures.proven),
  });
  metrics.gauge({
    name: 'workload_manager_active_proxy_count',
    help: 'Pods that have joined',
    read: () => one(pods.states().filter(({ joined }) => joined).length),
  });
  metrics.gauge({
    name: 'workload_manager_pending_proxy_count',
    help: 'Pods that are to join and have not',
    read: () => one(pods.states().filter(({ enrolled, joined }) => enrolled && !joined).length),
  });
}

function registerCapture(metrics: Metrics, { captures }: MetricsDeps): void {
  const { counters } = captures;
  const counter = (name: string, help: string, key: keyof typeof counters): void =>
    metrics.counter({
      name: `plumbline_capture_${name}_total`,
      help,
      read: () => one(counters[key]),
    });
  counter('enrolments', 'Pods captured', 'enrolments');
  counter('enrolment_failures', 'Captures that failed', 'enrolmentFailures');
  counter('releases', 'Pods released', 'releases');
  counter('repairs', 'Times that somebody changed the rules and they were repaired', 'repairs');
  counter('repair_failures', 'Repairs that failed', 'repairFailures');
  counter('probes', 'Proof connections made', 'probes');
  counter('probe_failures', 'Proof connections that did not arrive', 'probeFailures');
  counter(
    'existing_connections',
    'Connections that stood before enrolment and went on in clear',
    'existingConnections',
  );
  counter(
    'cut_connections',
    'Connections that stood before enrolment and were cut',
    'cutConnections',
  );
  metrics.counter({
    name: 'plumbline_udp_packets_total',
    help: 'UDP packets that passed the mesh untouched',
    labels: ['namespace'],
    read: () => {
      const sums = new Map<string, number>();
      for (const { namespace, udpPackets } of captures.states()) {
        sums.set(namespace, (sums.get(namespace) ?? 0) + udpPackets);
      }
      return Array.from(sums, ([namespace, value]) => ({ labels: { namespace }, value }));
    },
  });
}

function registerCni(metrics: Metrics, { gate, installer }: CniPart): void {
  const { counters } = gate;
  const counter = (key: keyof typeof counters, help: string): void =>
    metrics.counter({
      name: `plumbline_cni_${key}_total`,
      help,
      read: () => one(counters[key]),
    });
  counter('proven', 'Pods that started when they were proven captured');
  counter('passed', 'Pods of enrolled namespaces that started because they opt out');
  counter('held', 'Starts of pods that were refused because capture was not proven');
  counter('unproven', 'Pods that started without proof, as their namespace allows');
  metrics.counter({
    name: 'plumbline_cni_writes_total',
    help: 'Times that a network configuration had to be written to have the plugin in its place',
    read: () => one(installer.writes),
  });
  metrics.gauge({
    name: 'plumbline_cni_chained',
    help: '1 when the plugin is chained, 0 when it is not and no start of a pod is held back',
    read: () => one(installer.problem === '' ? 1 : 0),
  });
}

/** Of the workers' totals: the metric, whether it can fall, and what it is. */
const TOTALS: readonly (readonly [keyof Totals, string, 'counter' | 'gauge', string])[] = [
  ['inboundOpen', 'plumbline_connections_open_inbound', 'gauge', 'Inbound connections that live'],
  [
    'outboundOpen',
    'plumbline_connections_open_outbound',
    'gauge',
    'Outbound connections that live',
  ],
  [
    'tunnelsOpen',
    'plumbline_tunnels_open',
    'gauge',
    'Tunnels that this agent opened and that live',
  ],
  ['serverTunnelsOpen', 'plumbline_server_tunnels_open', 'gauge', 'Tunnels of peers that live'],
  ['tunnelsOpened', 'plumbline_tunnels_opened_total', 'counter', 'Tunnels opened'],
  [
    'tunnelsFailed',
    'plumbline_tunnels_failed_total',
    'counter',
    'Tunnels that could not be opened',
  ],
  [
    'handshakesAccepted',
    'plumbline_handshakes_accepted_total',
    'counter',
    'TLS handshakes of peers that succeeded',
  ],
  [
    'handshakesFailed',
    'plumbline_handshakes_failed_total',
    'counter',
    'TLS handshakes of peers that failed',
  ],
  [
    'peersHeld',
    'plumbline_peers_held_total',
    'counter',
    'Times that a peer was held for breaking the rules of HTTP/2',
  ],
  [
    'tunnelsRefused',
    'plumbline_tunnels_refused_total',
    'counter',
    'Tunnels refused to peers that were held, before or after the handshake',
  ],
  ['accepted', 'plumbline_connections_accepted_total', 'counter', 'TCP connections accepted'],
  [
    'acceptPauses',
    'plumbline_accept_pauses_total',
    'counter',
    'Times that accepting paused for want of descriptors',
  ],
  ['probes', 'plumbline_probes_arrived_total', 'counter', 'Proof connections that arrived'],
  [
    'retries',
    'plumbline_connect_retries_total',
    'counter',
    'Endpoints tried after another had failed',
  ],
  ['policyDenied', 'plumbline_policy_denied_total', 'counter', 'Connections that a policy refused'],
  [
    'policyChanged',
    'plumbline_policy_closed_total',
    'counter',
    'Live connections that a changed policy closed',
  ],
  [
    'dryRunDenied',
    'plumbline_policy_dry_run_denied_total',
    'counter',
    'Connections that a dry-run policy would have refused',
  ],
  [
    'recordsDropped',
    'plumbline_records_dropped_total',
    'counter',
    'Access-log records lost because main was too busy',
  ],
  ['dnsQueries', 'istio_dns_requests_total', 'counter', 'DNS queries captured'],
  ['dnsForwarded', 'istio_dns_upstream_requests_total', 'counter', 'DNS queries forwarded'],
  [
    'dnsFailed',
    'istio_dns_upstream_failures_total',
    'counter',
    'DNS queries that no resolver answered',
  ],
];

function registerData(metrics: Metrics, totals: () => Totals): void {
  for (const [key, name, kind, help] of TOTALS) {
    metrics[kind]({ name, help, read: () => one(totals()[key]) });
  }
  metrics.gauge({
    name: 'istio_tcp_sockets_open',
    help: 'Connections that live, by the side that this agent reports for',
    labels: ['reporter'],
    read: () => {
      const { inboundOpen, outboundOpen } = totals();
      return [
        { labels: { reporter: 'source' }, value: outboundOpen },
        { labels: { reporter: 'destination' }, value: inboundOpen },
      ];
    },
  });
}

function registerControl(metrics: Metrics, deps: MetricsDeps): void {
  const { node, version, certificates } = deps;
  metrics.gauge({
    name: 'istio_build',
    help: 'Component and version',
    labels: ['component', 'version', 'node'],
    read: () => [{ labels: { component: 'node-agent', version, node }, value: 1 }],
  });
  metrics.gauge({
    name: 'plumbline_controller_connected',
    help: '1 while the control channel is up',
    read: () => one(deps.isConnected() ? 1 : 0),
  });
  metrics.gauge({
    name: 'plumbline_mesh_version',
    help: 'Version of the mesh in force',
    read: () => one(deps.meshVersion()),
  });
  metrics.counter({
    name: 'plumbline_log_lines_dropped_total',
    help: 'Log lines that nobody took in time',
    read: () => one(deps.logLinesDropped()),
  });
  metrics.gauge({
    name: 'plumbline_certificates',
    help: 'Identities of this node, by state of their certificate',
    labels: ['state'],
    read: () =>
      (['valid', 'missing', 'expired'] as const).map((state) => ({
        labels: { state },
        value: certificates.list().filter((row) => row.state === state).length,
      })),
  });
  metrics.gauge({
    name: 'plumbline_certificate_expires_seconds',
    help: 'Seconds until the certificate that expires first does',
    read: () => {
      const ends = certificates
        .list()
        .filter(({ state }) => state === 'valid')
        .map(({ notAfterMs }) => notAfterMs);
      return ends.length === 0 ? [] : one((Math.min(...ends) - Date.now()) / 1000);
    },
  });
}

function one(value: number): Sample[] {
  return [{ value }];
}

/** What a waypoint counts, for Prometheus; docs/metrics.md has the rows. */
import { Metrics } from '#common/metrics.ts';
import type { Sample } from '#common/metrics.ts';
import type { Count } from './proxy/counters.ts';

interface Row {
  readonly name: string;
  readonly help: string;
  readonly count: Count;
}

const COUNTERS: readonly Row[] = [
  { name: 'plumbline_http_requests_total', help: 'Requests taken.', count: 'requests' },
  {
    name: 'plumbline_http_own_answers_total',
    help: 'Answers given without an endpoint.',
    count: 'ownAnswers',
  },
  {
    name: 'plumbline_http_cut_total',
    help: 'Responses that ended before their end.',
    count: 'cut',
  },
  { name: 'plumbline_http_retries_total', help: 'Requests sent once more.', count: 'retries' },
  {
    name: 'plumbline_http_bad_messages_total',
    help: 'Requests that broke the rules of HTTP/1.',
    count: 'badMessages',
  },
  {
    name: 'plumbline_http_client_timeouts_total',
    help: 'Clients that were too slow.',
    count: 'timeouts',
  },
  {
    name: 'plumbline_http_connections_total',
    help: 'Connections of clients.',
    count: 'connectionsOpened',
  },
  {
    name: 'plumbline_http_upstreams_total',
    help: 'Connections to endpoints.',
    count: 'upstreamsOpened',
  },
  {
    name: 'plumbline_http_upstream_failures_total',
    help: 'Requests that an endpoint failed.',
    count: 'upstreamsFailed',
  },
];
const GAUGES: readonly Row[] = [
  {
    name: 'plumbline_http_connections_open',
    help: 'Connections of clients that live.',
    count: 'connectionsOpen',
  },
  {
    name: 'plumbline_http_upstreams_open',
    help: 'Connections to endpoints that live.',
    count: 'upstreamsOpen',
  },
  { name: 'plumbline_links_open', help: 'Links with the agent.', count: 'linksOpen' },
];
const CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const;

export function waypointMetrics(counts: () => Readonly<Record<string, number>>): Metrics {
  const metrics = new Metrics().withProcess();
  const one = (count: string): Sample[] => [{ value: counts()[count] ?? 0 }];
  for (const { name, help, count } of COUNTERS)
    metrics.counter({ name, help, read: () => one(count) });
  for (const { name, help, count } of GAUGES) metrics.gauge({ name, help, read: () => one(count) });
  metrics.counter({
    name: 'plumbline_http_responses_total',
    help: 'Responses by the class of their status.',
    labels: ['class'],
    read: () => {
      const all = counts();
      return CLASSES.map((label) => ({
        labels: { class: label },
        value: all[`status${label}`] ?? 0,
      }));
    },
  });
  return metrics;
}

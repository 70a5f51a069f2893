/** What the source on an API server says of each kind that it follows; docs/metrics.md has the rows. */
import type { Metrics, Sample } from '#common/metrics.ts';
import type { KindHealth } from '../kube/kubernetes-source.ts';

export function registerSourceMetrics(metrics: Metrics, kinds: () => readonly KindHealth[]): void {
  const each = (value: (kind: KindHealth) => number) => (): Sample[] =>
    kinds().map((kind) => ({ labels: { kind: nameOf(kind) }, value: value(kind) }));
  metrics.gauge({
    name: 'plumbline_source_synced',
    help: 'Whether all objects of this kind have been read once.',
    labels: ['kind'],
    read: each(({ isSynced }) => (isSynced ? 1 : 0)),
  });
  metrics.gauge({
    name: 'plumbline_source_objects',
    help: 'Objects that the API server has, of the mesh or not.',
    labels: ['kind'],
    read: each(({ objects }) => objects),
  });
  metrics.gauge({
    name: 'plumbline_source_lag_seconds',
    help: 'Since the API server last said anything of this kind; a minute at most while all is well.',
    labels: ['kind'],
    read: each(({ lagSeconds }) => lagSeconds),
  });
  metrics.counter({
    name: 'plumbline_source_relists_total',
    help: 'Lists after the first one.',
    labels: ['kind'],
    read: each(({ relists }) => relists),
  });
  metrics.counter({
    name: 'plumbline_source_watch_restarts_total',
    help: 'Watches after the first one; every five to ten minutes while all is well.',
    labels: ['kind'],
    read: each(({ restarts }) => restarts),
  });
}

/** `pods`, `authorizationpolicies.security.istio.io`. */
function nameOf({ resource: { plural, group } }: KindHealth): string {
  return group === '' ? plural : `${plural}.${group}`;
}

/** What a controller on a cluster says of itself besides; docs/metrics.md has a row for each. */
import type { Metrics } from '#common/metrics.ts';
import type { WriteQueue } from './write-queue.ts';

export interface ClusterMetered {
  readonly leader: { readonly isLeading: boolean };
  readonly queues: readonly WriteQueue[];
  /** Of the whole mesh, whichever replica their agents report to. */
  readonly pods: () => { readonly enrolled: number; readonly proven: number };
  /** Objects of ours that could not be read. */
  readonly refusedObjects: () => number;
}

export function registerClusterMetrics(
  metrics: Metrics,
  { leader, queues, pods, refusedObjects }: ClusterMetered,
): void {
  metrics.gauge({
    name: 'plumbline_controller_leads',
    help: '1 at the replica that leads, 0 at the others.',
    read: () => [{ value: leader.isLeading ? 1 : 0 }],
  });
  metrics.gauge({
    name: 'plumbline_controller_writes_waiting',
    help: 'Writes to the API server that wait, by what they are about.',
    labels: ['queue'],
    read: () => queues.map(({ name, depth }) => ({ labels: { queue: name }, value: depth })),
  });
  metrics.counter({
    name: 'plumbline_controller_writes_total',
    help: 'Writes to the API server, by what they were about and what became of them.',
    labels: ['queue', 'result'],
    read: () =>
      queues.flatMap(({ name, written, dropped }) => [
        { labels: { queue: name, result: 'written' }, value: written },
        { labels: { queue: name, result: 'refused' }, value: dropped },
      ]),
  });
  metrics.gauge({
    name: 'plumbline_controller_pods',
    help: 'Pods of the mesh: enrolled, and proven to be captured. The two must be equal.',
    labels: ['state'],
    read: () => Object.entries(pods()).map(([state, value]) => ({ labels: { state }, value })),
  });
  metrics.gauge({
    name: 'plumbline_controller_refused_objects',
    help: 'Objects of our own kinds that cannot be taken as they are written.',
    read: () => [{ value: refusedObjects() }],
  });
}

/** What the states of its containers make of a pod, as Kubernetes counts it. Pure. */
import type { ContainerState } from './container.ts';

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

export function phaseOf(containers: readonly ContainerState[], started: boolean): PodPhase {
  if (!started) return 'Pending';
  // A container that waits to be started again belongs to a pod that runs.
  if (!containers.every(({ state }) => state === 'ended')) return 'Running';
  return containers.every((one) => one.state === 'ended' && one.code === 0)
    ? 'Succeeded'
    : 'Failed';
}

export function isReady(containers: readonly ContainerState[]): boolean {
  return containers.every((one) => one.state === 'running' && one.ready);
}

/**
 * Whether policy lets an inbound connection in, and what the record says of it.
 *
 * Judged with the world as it is at the moment: when a connection comes, and again, with the current
 * record of the pod and not the one it had then, whenever something has changed.
 */
import { MeshError } from '#common/errors.ts';
import type { Identity } from '#common/identity.ts';
import type { Flow } from './flow.ts';
import type { Pod } from './pod.ts';

export interface Arrival {
  readonly identity: Identity | undefined;
  readonly sourceAddress: string;
  readonly destinationAddress: string;
  readonly destinationPort: number;
}

/** Returns why the connection may not be, or undefined when it may; notes the verdict in `flow`. */
export function refusalOf(pod: Pod, flow: Flow, arrival: Arrival): MeshError | undefined {
  const workload = pod.workload();
  if (workload === undefined) {
    return new MeshError('UNKNOWN_SOURCE', 'Cannot let a connection in: this pod is not known');
  }
  const verdict = pod.decisions.verdict(workload, arrival);
  flow.audits = verdict.audits;
  flow.policy = verdict.allow ? '' : verdict.policy;
  flow.rule = verdict.allow ? '' : verdict.rule;
  flow.nearMiss = verdict.allow ? '' : (verdict.nearMiss ?? '');
  if (verdict.allow) return undefined;
  return new MeshError('POLICY_DENIED', `Cannot let a connection in: ${verdict.reason}`, {
    details: { policy: verdict.policy, rule: verdict.rule },
  });
}

/** The same for a connection that was let in before. */
export function revocationOf(pod: Pod, flow: Flow, arrival: Arrival): MeshError | undefined {
  const before = flow.audits;
  const refusal = refusalOf(pod, flow, arrival);
  if (refusal === undefined) {
    flow.audits = before;
    return undefined;
  }
  // A record that is only just being replaced is no verdict.
  if (refusal.code !== 'POLICY_DENIED') return undefined;
  return new MeshError('POLICY_CHANGED', 'Cannot go on: connection closed due to policy change', {
    cause: refusal,
    details: refusal.details,
  });
}

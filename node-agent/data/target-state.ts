/**
 * The endpoint that a connection has chosen, as plain data and back.
 *
 * A workload that is not known any more cannot be told of: then nothing is left of the target, and a
 * connection that still waits for its answer goes on without.
 */
import type { Target } from '#common/decide/target.ts';
import type { View } from '#common/mesh/view.ts';
import type { TargetState } from './handover-state.ts';

export function targetState(target: Target | undefined): TargetState | null {
  if (target === undefined) return null;
  const { workload, service, address, hostname, port, tunnel, expected } = target;
  return {
    uid: workload.uid,
    service: service?.key ?? '',
    address,
    hostname,
    port,
    tunnel,
    expected,
  };
}

export function targetOfState(view: View, state: TargetState | null): Target | undefined {
  const workload = state === null ? undefined : view.workload(state.uid);
  if (state === null || workload === undefined) return undefined;
  const { uid: _, service, ...rest } = state;
  return { ...rest, workload, service: service === '' ? undefined : view.service(service) };
}

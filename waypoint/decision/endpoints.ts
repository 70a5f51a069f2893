/**
 * The endpoints of a service as balancing wants them, out of the view: who serves the port, is ready
 * and may be chosen, by the same rules that the agents go by (common/decide/plan.ts).
 */
import { localityScore, targetPort, whyNot } from '#common/decide/plan.ts';
import type { Standpoint } from '#common/decide/plan.ts';
import { targetOf, throughTunnel } from '#common/decide/target.ts';
import type { Target } from '#common/decide/target.ts';
import type { Service, ServicePort } from '#common/mesh/service.ts';
import type { View } from '#common/mesh/view.ts';
import type { EndpointSpec } from '../resilience/endpoint.ts';

export interface Placed {
  readonly spec: EndpointSpec;
  readonly target: Target;
}

/** Lists the endpoints of a port, the nearest level being 0; `from` is where the waypoint stands. */
export function endpointsOf(
  view: View,
  to: { readonly service: Service; readonly port: ServicePort },
  from: Standpoint,
): Placed[] {
  const { service, port } = to;
  const { mode, scopes } = service.loadBalancing;
  const table = view.workloadTable;
  const placed: Placed[] = [];
  for (const shape of table.backing(service.key)?.shapes ?? []) {
    for (const row of table.rowsOf(shape)) {
      if (whyNot(table, row, to) !== '') continue;
      const score = mode === 'any' ? scopes.length : localityScore(service, table.place(row), from);
      if (mode === 'strict' && score < scopes.length) continue;
      const target = targetOf({
        workload: table.workload(row),
        address: '',
        port: targetPort(shape, service, port),
        service,
      });
      placed.push({
        spec: { id: table.uid(row), weight: shape.weight, level: scopes.length - score },
        target: throughTunnel(view, target, target.address),
      });
    }
  }
  return placed;
}

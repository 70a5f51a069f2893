/**
 * The upstreams of a waypoint worker, made when first asked for and kept in step with the view.
 *
 * A change of the endpoints is taken over with the next request; who stays keeps what is known of it.
 * A service whose policy changes begins anew: its limits and counts are other ones.
 */
import type { Standpoint } from '#common/decide/plan.ts';
import type { BackendPolicy } from '#common/mesh/backend-policy.ts';
import type { Service } from '#common/mesh/service.ts';
import type { View } from '#common/mesh/view.ts';
import type { OnEjection } from '../resilience/ejection.ts';
import { endpointsOf } from './endpoints.ts';
import { Upstream } from './upstream.ts';

export interface UpstreamDeps {
  readonly view: View;
  readonly standpoint: Standpoint;
  /** The same object for as long as the policy of a service is the same. */
  readonly policyOf: (service: string) => BackendPolicy;
  readonly told: OnEjection;
}

interface Kept {
  readonly upstream: Upstream;
  readonly service: Service;
  readonly backing: unknown;
  readonly generation: number;
}

export class UpstreamTable {
  readonly #deps: UpstreamDeps;
  /** By service and port: numbers make no garbage. */
  readonly #kept = new Map<string, Map<number, Kept>>();

  constructor(deps: UpstreamDeps) {
    this.#deps = deps;
  }

  /** Returns the upstream of a port; undefined when there is no such service or port. */
  get(serviceKey: string, port: number, nowMs: number): Upstream | undefined {
    const { view, policyOf } = this.#deps;
    const known = this.#kept.get(serviceKey)?.get(port);
    const service = view.serviceTable.get(serviceKey);
    const backing = view.workloadTable.backing(serviceKey);
    const isCurrent =
      known !== undefined &&
      known.service === service &&
      known.backing === backing &&
      known.generation === (backing?.generation ?? 0) &&
      known.upstream.policy === policyOf(serviceKey);
    return isCurrent ? known.upstream : this.#renew(serviceKey, port, nowMs);
  }

  #renew(serviceKey: string, portNumber: number, nowMs: number): Upstream | undefined {
    const { view, policyOf, told, standpoint } = this.#deps;
    const service = view.serviceTable.get(serviceKey);
    const port = service?.ports.find((one) => one.port === portNumber);
    if (service === undefined) this.#kept.delete(serviceKey);
    if (service === undefined || port === undefined) return undefined;
    const byPort = this.#kept.get(serviceKey) ?? new Map<number, Kept>();
    this.#kept.set(serviceKey, byPort);
    const policy = policyOf(serviceKey);
    const known = byPort.get(portNumber)?.upstream;
    const upstream =
      known?.policy === policy
        ? known
        : new Upstream(`${serviceKey}:${portNumber}`, policy, { nowMs, told });
    upstream.update(endpointsOf(view, { service, port }, standpoint), nowMs);
    const backing = view.workloadTable.backing(serviceKey);
    const generation = backing?.generation ?? 0;
    byPort.set(portNumber, { upstream, service, backing, generation });
    return upstream;
  }
}

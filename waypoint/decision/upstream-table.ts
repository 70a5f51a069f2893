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
  service: Service;
  backing: unknown;
  generation: number;
}

export class UpstreamTable {
  readonly #deps: UpstreamDeps;
  readonly #kept = new Map<string, Kept>();

  constructor(deps: UpstreamDeps) {
    this.#deps = deps;
  }

  /** Returns the upstream of a port; undefined when there is no such service or port. */
  get(serviceKey: string, portNumber: number, nowMs: number): Upstream | undefined {
    const { view, policyOf, told } = this.#deps;
    const name = `${serviceKey}:${portNumber}`;
    const service = view.serviceTable.get(serviceKey);
    const port = service?.ports.find((one) => one.port === portNumber);
    if (service === undefined || port === undefined) {
      this.#kept.delete(name);
      return undefined;
    }
    const policy = policyOf(serviceKey);
    const backing = view.workloadTable.backing(serviceKey);
    const generation = backing?.generation ?? 0;
    const known = this.#kept.get(name);
    const isSame = known?.upstream.policy === policy;
    if (isSame && known.service === service && known.backing === backing) {
      if (known.generation === generation) return known.upstream;
    }
    const upstream = isSame ? known.upstream : new Upstream(name, policy, { nowMs, told });
    upstream.update(endpointsOf(view, { service, port }, this.#deps.standpoint), nowMs);
    this.#kept.set(name, { upstream, service, backing, generation });
    return upstream;
  }
}

/**
 * Which services a workload backs, and through which of its ports.
 *
 * Pods are members of a Service through its EndpointSlices, as Kubernetes or the directory source
 * derived them; of a ServiceEntry through its workloadSelector. A WorkloadEntry is a member of both
 * through their selectors. The list is sorted, so that the same members give the same record.
 */
import type { Membership, PortMapping } from '#common/mesh/workload.ts';
import { ownerOf, serviceKey } from './build-service.ts';
import type { ModelOptions } from './diff.ts';
import type {
  EndpointSliceObject,
  EntryEndpoint,
  PodObject,
  ServiceEntryObject,
  ServicePortSpec,
  WorkloadEntryObject,
} from './objects.ts';
import { keyOf } from './objects.ts';
import type { Store } from './store.ts';

export function podMemberships(pod: PodObject, store: Store, options: ModelOptions): Membership[] {
  const found = new Collector();
  for (const sliceKey of store.slicesOfPod.get(keyOf(pod.meta))) {
    const slice = store.slices.get(sliceKey);
    if (slice !== undefined) found.addAll(sliceMemberships(slice, store, options));
  }
  for (const entryKey of store.entrySelectors.matching(pod.meta.namespace, pod.meta.labels)) {
    const entry = store.serviceEntries.get(entryKey);
    if (entry !== undefined) found.addAll(entryMemberships(entry, undefined, store, options));
  }
  return found.sorted();
}

export function workloadEntryMemberships(
  entry: WorkloadEntryObject,
  store: Store,
  options: ModelOptions,
): Membership[] {
  const found = new Collector();
  const { namespace } = entry.meta;
  const labels = { ...entry.meta.labels, ...entry.endpoint.labels };
  for (const key of store.serviceSelectors.matching(namespace, labels)) {
    const service = store.services.get(key);
    if (service === undefined) continue;
    const ports = service.ports.flatMap((port) => targetAt(entry.endpoint, port));
    found.add({ service: serviceKey(service.meta, options), ports });
  }
  for (const key of store.entrySelectors.matching(namespace, labels)) {
    const serviceEntry = store.serviceEntries.get(key);
    if (serviceEntry === undefined) continue;
    found.addAll(entryMemberships(serviceEntry, entry.endpoint, store, options));
  }
  return found.sorted();
}

/** What every endpoint of a slice is a member of: one service, or none when there is none. */
export function sliceMemberships(
  slice: EndpointSliceObject,
  store: Store,
  options: ModelOptions,
): Membership[] {
  const service = store.services.get(`${slice.meta.namespace}/${slice.service}`);
  if (service === undefined) return [];
  const ports: PortMapping[] = [];
  for (const { name, port } of service.ports) {
    const target = slice.ports.find((p) => p.name === name);
    if (target !== undefined) ports.push({ servicePort: port, targetPort: target.port });
  }
  return [{ service: serviceKey(service.meta, options), ports }];
}

/** What a member of a ServiceEntry is a member of: a service for each host that the entry owns. */
export function entryMemberships(
  entry: ServiceEntryObject,
  endpoint: EntryEndpoint | undefined,
  store: Store,
  options: ModelOptions,
): Membership[] {
  const ports = entry.ports.map((port) => ({
    servicePort: port.number,
    targetPort: endpoint?.ports[port.name] ?? port.targetPort,
  }));
  return entry.hosts
    .map((host) => `${entry.meta.namespace}/${host}`)
    .filter((key) => ownerOf(key, store, options) === entry)
    .map((service) => ({ service, ports }));
}

function targetAt(endpoint: EntryEndpoint, port: ServicePortSpec): PortMapping[] {
  const byName = endpoint.ports[port.name];
  const wanted = port.targetPort;
  const target = byName ?? (typeof wanted === 'number' ? wanted : endpoint.ports[wanted]);
  return target === undefined ? [] : [{ servicePort: port.port, targetPort: target }];
}

/** One membership a service, though a dual-stack pod stands in a slice of each family. */
class Collector {
  readonly #byService = new Map<string, Membership>();

  add(membership: Membership): void {
    const old = this.#byService.get(membership.service);
    if (old === undefined || old.ports.length < membership.ports.length) {
      this.#byService.set(membership.service, membership);
    }
  }

  addAll(memberships: readonly Membership[]): void {
    for (const membership of memberships) this.add(membership);
  }

  sorted(): Membership[] {
    const all = [...this.#byService.values()];
    return all.length < 2 ? all : all.toSorted((a, b) => (a.service < b.service ? -1 : 1));
  }
}

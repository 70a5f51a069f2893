/**
 * What Kubernetes would derive from the objects: EndpointSlices of Services with a selector, and the
 * names that a resolver would answer.
 *
 * Pure. Pods whose named ports differ stand in slices of their own, as in Kubernetes, so every slice
 * is right for each of its endpoints.
 */
import { familyOf, parseAddress } from '#common/address.ts';
import { isLive } from '../model/build-workload.ts';
import type {
  EndpointSliceObject,
  PodObject,
  ServiceEntryObject,
  ServiceObject,
} from '../model/objects.ts';
import { keyOf } from '../model/objects.ts';
import { SelectorIndex, selectorOf } from '../model/selector.ts';
import { hasLabels } from '../model/store.ts';
import type { HostEntry } from '#common/control/desired.ts';
import { SERVICE_LABEL } from './schemas/endpoint-slice.ts';

export function deriveSlices(
  services: readonly ServiceObject[],
  pods: readonly PodObject[],
): EndpointSliceObject[] {
  const index = new SelectorIndex();
  const serviceByKey = new Map<string, ServiceObject>();
  for (const service of services) {
    if (!hasLabels(service.selector)) continue;
    const key = keyOf(service.meta);
    serviceByKey.set(key, service);
    index.set(key, service.meta.namespace, selectorOf(service.selector));
  }
  const slices = new Map<string, SliceDraft>();
  for (const pod of pods) {
    if (!isLive(pod)) continue;
    for (const key of index.matching(pod.meta.namespace, pod.meta.labels)) {
      const service = serviceByKey.get(key);
      if (service !== undefined) addTo(slices, service, pod);
    }
  }
  return [...slices.values()].map(finish);
}

/** Names for the hosts file of every pod, and for those of one namespace the short ones. */
export function deriveHosts(
  services: readonly ServiceObject[],
  entries: readonly ServiceEntryObject[],
  slices: readonly EndpointSliceObject[],
  domain: string,
): HostEntry[] {
  const readyByService = new Map<string, string[]>();
  for (const slice of slices) {
    const key = `${slice.meta.namespace}/${slice.service}`;
    const ready = slice.endpoints.filter((one) => one.ready).flatMap((one) => one.addresses);
    readyByService.set(key, [...(readyByService.get(key) ?? []), ...ready]);
  }
  const hosts = services.flatMap((service): HostEntry[] => {
    const { name, namespace } = service.meta;
    const addresses = service.headless
      ? (readyByService.get(keyOf(service.meta)) ?? [])
      : service.clusterIps;
    if (addresses.length === 0) return [];
    const long = [`${name}.${namespace}`, `${name}.${namespace}.svc`];
    return [
      { namespace: '', names: [...long, `${name}.${namespace}.svc.${domain}`], addresses },
      { namespace, names: [name], addresses },
    ];
  });
  for (const { meta, hosts: names, addresses, exportTo } of entries) {
    const single = addresses.filter((address) => parseAddress(address) !== undefined);
    const exact = names.filter((name) => !name.startsWith('*'));
    const namespace = exportTo === 'namespace' ? meta.namespace : '';
    if (single.length > 0 && exact.length > 0) {
      hosts.push({ namespace, names: exact, addresses: single });
    }
  }
  return hosts;
}

interface SliceDraft {
  readonly service: ServiceObject;
  readonly family: 4 | 6;
  readonly ports: EndpointSliceObject['ports'];
  readonly endpoints: EndpointSliceObject['endpoints'][number][];
}

function addTo(slices: Map<string, SliceDraft>, service: ServiceObject, pod: PodObject): void {
  const ports = service.ports.flatMap(({ name, targetPort }) => {
    const port = typeof targetPort === 'number' ? targetPort : pod.namedPorts[targetPort];
    return port === undefined ? [] : [{ name, port }];
  });
  for (const family of [4, 6] as const) {
    const address = pod.addresses.find((one) => familyOf(one) === family);
    if (address === undefined) continue;
    const key = `${keyOf(service.meta)} ${family} ${ports.map((p) => `${p.name}=${p.port}`).join()}`;
    const draft = slices.get(key) ?? { service, family, ports, endpoints: [] };
    draft.endpoints.push({
      addresses: [address],
      ready: service.publishNotReadyAddresses || (pod.ready && !pod.terminating),
      terminating: pod.terminating,
      pod: pod.meta.name,
      node: pod.node,
    });
    slices.set(key, draft);
  }
}

/** The name follows from what the slice is for, so it stays while endpoints come and go. */
function finish({ service, family, ports, endpoints }: SliceDraft): EndpointSliceObject {
  const { name, namespace, createdMs } = service.meta;
  const named = service.ports.some(({ targetPort }) => typeof targetPort === 'string');
  const suffix = named ? `-${ports.map((one) => one.name + one.port).join('-') || 'none'}` : '';
  return {
    kind: 'EndpointSlice',
    meta: {
      name: `${name}-ipv${family}${suffix}`,
      namespace,
      labels: { [SERVICE_LABEL]: name },
      annotations: {},
      createdMs,
    },
    service: name,
    ports,
    endpoints,
  };
}

/**
 * Services: from a Kubernetes Service or from one host of a ServiceEntry.
 *
 * Both may claim one host name in one namespace; then the Kubernetes Service is the service and the
 * entry is silent, the older entry before the younger one.
 */
import type { Algorithm, LoadBalancing, Service } from '#common/mesh/service.ts';
import type { ModelOptions } from './diff.ts';
import { EXPORT_TO, LOAD_BALANCING, TRAFFIC_DISTRIBUTION, read } from './names.ts';
import type { Meta, ServiceEntryObject, ServiceObject } from './objects.ts';
import { keyOf } from './objects.ts';
import type { Store } from './store.ts';

export function hostnameOf(meta: Meta, options: ModelOptions): string {
  return `${meta.name}.${meta.namespace}.svc.${options.domain}`;
}

export function serviceKey(meta: Meta, options: ModelOptions): string {
  return `${meta.namespace}/${hostnameOf(meta, options)}`;
}

/** Returns the Service or ServiceEntry that is the service with this key. */
export function ownerOf(
  key: string,
  store: Store,
  options: ModelOptions,
): ServiceObject | ServiceEntryObject | undefined {
  const [namespace = '', hostname = ''] = key.split('/');
  const end = `.${namespace}.svc.${options.domain}`;
  if (hostname.endsWith(end)) {
    const service = store.services.get(`${namespace}/${hostname.slice(0, -end.length)}`);
    if (service !== undefined) return service;
  }
  let oldest: ServiceEntryObject | undefined;
  for (const entryKey of store.entriesOfHost.get(key)) {
    const entry = store.serviceEntries.get(entryKey);
    if (entry !== undefined && (oldest === undefined || isOlder(entry.meta, oldest.meta))) {
      oldest = entry;
    }
  }
  return oldest;
}

/** Which of two equals wins: the older, then the one whose name comes first. */
export function isOlder(a: Meta, b: Meta): boolean {
  return a.createdMs === b.createdMs ? keyOf(a) < keyOf(b) : a.createdMs < b.createdMs;
}

export function buildService(
  key: string,
  store: Store,
  options: ModelOptions,
): Service | undefined {
  const owner = ownerOf(key, store, options);
  if (owner === undefined) return undefined;
  return owner.kind === 'Service'
    ? fromService(owner, store, options)
    : fromEntry(owner, key.slice(key.indexOf('/') + 1));
}

function fromService(service: ServiceObject, store: Store, options: ModelOptions): Service {
  const { meta } = service;
  return {
    key: serviceKey(meta, options),
    name: meta.name,
    namespace: meta.namespace,
    hostname: hostnameOf(meta, options),
    addresses: service.headless ? [] : service.clusterIps,
    ports: service.ports.map(({ name, port, targetPort, appProtocol }) => ({
      name,
      port,
      targetPort: typeof targetPort === 'number' ? targetPort : 0,
      appProtocol,
    })),
    headless: service.headless,
    subjectAltNames: [],
    loadBalancing: balancingOf(service, store.namespaces.get(meta.namespace)?.meta),
    publishNotReady: service.publishNotReadyAddresses,
    visibility: read(meta.annotations, EXPORT_TO) === '.' ? 'namespace' : 'public',
    canonical: true,
  };
}

function fromEntry(entry: ServiceEntryObject, host: string): Service {
  const { meta } = entry;
  return {
    key: `${meta.namespace}/${host}`,
    name: meta.name,
    namespace: meta.namespace,
    hostname: host,
    addresses: entry.addresses,
    ports: entry.ports.map((port) => ({
      name: port.name,
      port: port.number,
      targetPort: port.targetPort,
      appProtocol: port.protocol.toLowerCase(),
    })),
    headless: false,
    subjectAltNames: entry.subjectAltNames,
    loadBalancing: {
      algorithm: algorithmOf(meta),
      mode: entry.resolution === 'NONE' ? 'passthrough' : 'any',
      scopes: [],
      clientIpAffinitySeconds: 0,
    },
    publishNotReady: false,
    visibility: entry.exportTo,
    canonical: false,
  };
}

function balancingOf(service: ServiceObject, namespace: Meta | undefined): LoadBalancing {
  const preference =
    service.trafficDistribution ||
    (read(service.meta.annotations, TRAFFIC_DISTRIBUTION) ??
      read(namespace?.annotations ?? {}, TRAFFIC_DISTRIBUTION) ??
      '');
  return {
    algorithm: algorithmOf(service.meta),
    clientIpAffinitySeconds: service.clientIpAffinitySeconds,
    ...narrowing(service.internalTrafficPolicy, preference.toLowerCase()),
  };
}

function narrowing(policy: string, preference: string): Pick<LoadBalancing, 'mode' | 'scopes'> {
  if (policy === 'Local') return { mode: 'strict', scopes: ['node'] };
  if (preference === 'preferclose' || preference === 'prefersamezone') {
    return { mode: 'failover', scopes: ['region', 'zone'] };
  }
  if (preference === 'prefersamenode') {
    return { mode: 'failover', scopes: ['region', 'zone', 'subzone', 'node'] };
  }
  return { mode: 'any', scopes: [] };
}

function algorithmOf(meta: Meta): Algorithm {
  const wanted = read(meta.annotations, LOAD_BALANCING);
  return wanted === 'round-robin' || wanted === 'least-connections' ? wanted : 'random';
}

/**
 * Workloads: from a pod, a WorkloadEntry, the endpoints of a ServiceEntry, and the endpoints of an
 * EndpointSlice that have no pod behind them.
 *
 * Only a pod on a node of ours can be captured, so only a pod is ever reached through the tunnel.
 */
import { parseAddress } from '#common/address.ts';
import type { Locality, Membership, Workload } from '#common/mesh/workload.ts';
import { ownerOf } from './build-service.ts';
import type { ModelOptions } from './diff.ts';
import { captureOptionsOf, exemptionOf } from './enrolment.ts';
import type { PlacedPod } from './diff.ts';
import {
  entryMemberships,
  podMemberships,
  sliceMemberships,
  workloadEntryMemberships,
} from './memberships.ts';
import { localityOf, telemetryNames } from './names.ts';
import type {
  EndpointSliceObject,
  EntryEndpoint,
  PodObject,
  ServiceEntryObject,
  WorkloadEntryObject,
} from './objects.ts';
import { keyOf } from './objects.ts';
import { policiesOf } from './policies-of.ts';
import type { Store } from './store.ts';

const NO_LOCALITY: Locality = { region: '', zone: '', subzone: '' };

export function podWorkloadUid(key: string, options: ModelOptions): string {
  return `${options.cluster}//Pod/${key}`;
}

/** A pod is a workload from its first address to its last process. */
export function isLive(pod: PodObject): boolean {
  return pod.addresses.length > 0 && !hasEnded(pod);
}

function hasEnded({ phase }: PodObject): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}

/**
 * What a pod is to the mesh, and to the agent of its node. The agent hears of it as soon as it has a
 * node, before it has an address: it must be captured before it runs.
 */
export function buildPod(
  pod: PodObject,
  store: Store,
  options: ModelOptions,
): { workload: Workload | undefined; placed: PlacedPod } | undefined {
  if (hasEnded(pod) || (!isLive(pod) && (pod.node === '' || pod.terminating))) return undefined;
  const key = keyOf(pod.meta);
  const uid = podWorkloadUid(key, options);
  const namespace = store.namespaces.get(pod.meta.namespace)?.meta;
  const exemption = exemptionOf(pod, namespace, options);
  const { name, labels } = pod.meta;
  const workload: Workload = {
    ...base(uid, pod.meta.namespace, name, options),
    serviceAccount: pod.serviceAccount,
    addresses: pod.addresses,
    node: pod.node,
    tunnel: exemption === '' && isTunnelled(pod, key, store, options) ? 'hbone' : 'none',
    hostNetwork: pod.hostNetwork,
    ...telemetryNames(labels, pod.owner?.name ?? name),
    workloadType: typeOf(pod.owner?.kind),
    locality: localityOf(store.nodes.get(pod.node)?.meta.labels ?? {}),
    health: pod.terminating ? 'terminating' : pod.ready ? 'ready' : 'not-ready',
    memberships: podMemberships(pod, store, options),
    policies: policiesOf({ namespace: pod.meta.namespace, labels }, store, options),
  };
  const placed: PlacedPod = {
    node: pod.node,
    pod: {
      uid,
      podUid: pod.podUid,
      name,
      namespace: pod.meta.namespace,
      serviceAccount: pod.serviceAccount,
      addresses: pod.addresses,
      enrolled: exemption === '',
      exemption,
      options: captureOptionsOf(pod, namespace),
    },
  };
  return { workload: isLive(pod) ? workload : undefined, placed };
}

export function buildWorkloadEntry(
  entry: WorkloadEntryObject,
  store: Store,
  options: ModelOptions,
): Workload {
  const { namespace, name } = entry.meta;
  const labels = { ...entry.meta.labels, ...entry.endpoint.labels };
  const uid = `${options.cluster}/networking.istio.io/WorkloadEntry/${namespace}/${name}`;
  return {
    ...base(uid, namespace, name, options),
    ...endpointFields(entry.endpoint),
    ...telemetryNames(labels, name),
    memberships: workloadEntryMemberships(entry, store, options),
    policies: policiesOf({ namespace, labels }, store, options),
  };
}

/** One workload an endpoint; without endpoints, one a host that DNS is to resolve. */
export function buildServiceEntry(
  entry: ServiceEntryObject,
  store: Store,
  options: ModelOptions,
): Workload[] {
  if (entry.resolution === 'NONE' || entry.workloadSelector !== undefined) return [];
  const { namespace, name } = entry.meta;
  const prefix = `${options.cluster}/networking.istio.io/ServiceEntry/${namespace}/${name}`;
  const make = (endpoint: EntryEndpoint, id: string, only: string | undefined): Workload => ({
    ...base(`${prefix}/${id}`, namespace, name, options),
    ...endpointFields(endpoint),
    ...telemetryNames(endpoint.labels, name),
    memberships: entryMemberships(entry, endpoint, store, options).filter(
      (m) => only === undefined || m.service === only,
    ),
  });
  if (entry.endpoints.length === 0 && entry.resolution === 'DNS') {
    return entry.hosts
      .filter((host) => ownerOf(`${namespace}/${host}`, store, options) === entry)
      .map((host) => make(plainEndpoint(host), host, `${namespace}/${host}`));
  }
  return entry.endpoints.map((endpoint, i) =>
    make(endpoint, i === 0 ? endpoint.address : `${endpoint.address}-${i}`, undefined),
  );
}

export function buildSliceEndpoints(
  slice: EndpointSliceObject,
  store: Store,
  options: ModelOptions,
): Workload[] {
  const { namespace, name } = slice.meta;
  const memberships: Membership[] = sliceMemberships(slice, store, options);
  const prefix = `${options.cluster}/discovery.k8s.io/EndpointSlice/${namespace}/${name}`;
  const bare = slice.endpoints.filter((e) => e.pod === '' && e.addresses.length > 0);
  return bare.map((endpoint) => ({
    ...base(`${prefix}/${endpoint.addresses[0]}`, namespace, name, options),
    addresses: endpoint.addresses,
    node: endpoint.node,
    ...telemetryNames(slice.meta.labels, slice.service),
    locality: localityOf(store.nodes.get(endpoint.node)?.meta.labels ?? {}),
    health: endpoint.terminating ? 'terminating' : endpoint.ready ? 'ready' : 'not-ready',
    memberships,
  }));
}

function base(uid: string, namespace: string, name: string, options: ModelOptions): Workload {
  return {
    uid,
    name,
    namespace,
    serviceAccount: 'default',
    trustDomain: options.trustDomain,
    addresses: [],
    hostname: '',
    node: '',
    cluster: options.cluster,
    tunnel: 'none',
    hostNetwork: false,
    canonicalName: name,
    canonicalRevision: 'latest',
    workloadName: name,
    workloadType: 'pod',
    locality: NO_LOCALITY,
    weight: 1,
    health: 'ready',
    memberships: [],
    policies: [],
  };
}

function endpointFields(
  endpoint: EntryEndpoint,
): Pick<Workload, 'addresses' | 'hostname' | 'serviceAccount' | 'locality' | 'weight'> {
  const isAddress = parseAddress(endpoint.address) !== undefined;
  const [region = '', zone = '', subzone = ''] = endpoint.locality.split('/');
  return {
    addresses: isAddress ? [endpoint.address] : [],
    hostname: isAddress ? '' : endpoint.address,
    serviceAccount: endpoint.serviceAccount,
    locality: { region, zone, subzone },
    weight: endpoint.weight,
  };
}

function plainEndpoint(address: string): EntryEndpoint {
  return { address, ports: {}, labels: {}, serviceAccount: 'default', locality: '', weight: 1 };
}

function isTunnelled(pod: PodObject, key: string, store: Store, options: ModelOptions): boolean {
  if (options.tunnelWhen === 'enrolled' || pod.captured === true) return true;
  return store.captureReports.get(key)?.podUid === pod.podUid;
}

const TYPES: Readonly<Record<string, Workload['workloadType']>> = {
  CronJob: 'cronjob',
  Deployment: 'deployment',
  Job: 'job',
};

function typeOf(owner: string | undefined): Workload['workloadType'] {
  return (owner === undefined ? undefined : TYPES[owner]) ?? 'pod';
}

/** Objects for model tests, with every field that a test does not care about filled in. */
import type { ObjectChange } from '../../controller/model/diff.ts';
import type {
  AuthorizationPolicyObject,
  EndpointSliceObject,
  EntryEndpoint,
  Labels,
  MeshObject,
  Meta,
  NetworkPolicyObject,
  PeerAuthenticationObject,
  PodObject,
  ServiceEntryObject,
  ServiceObject,
} from '../../controller/model/objects.ts';

export function meta(name: string, more: Partial<Meta> = {}): Meta {
  return { name, namespace: 'shop', labels: {}, annotations: {}, createdMs: 0, ...more };
}

export function namespace(name: string, labels: Labels = {}, annotations: Labels = {}): MeshObject {
  return { kind: 'Namespace', meta: meta(name, { namespace: '', labels, annotations }) };
}

export const MESHED: Labels = { 'plumbline.dev/dataplane-mode': 'ambient' };

export function node(name: string, zone: string): MeshObject {
  const labels = {
    'topology.kubernetes.io/region': 'eu',
    'topology.kubernetes.io/zone': zone,
  };
  return { kind: 'Node', meta: meta(name, { namespace: '', labels }) };
}

export function pod(
  name: string,
  address: string,
  more: Partial<Omit<PodObject, 'meta' | 'kind'>> & { meta?: Partial<Meta> } = {},
): PodObject {
  return {
    kind: 'Pod',
    podUid: `uid-${name}`,
    node: 'n1',
    serviceAccount: 'default',
    hostNetwork: false,
    addresses: address === '' ? [] : [address],
    phase: 'Running',
    ready: true,
    terminating: false,
    namedPorts: {},
    owner: undefined,
    ...more,
    meta: meta(name, more.meta),
  };
}

export function service(
  name: string,
  more: Partial<Omit<ServiceObject, 'meta' | 'kind'>> & { meta?: Partial<Meta> } = {},
): ServiceObject {
  return {
    kind: 'Service',
    clusterIps: ['10.32.0.1'],
    headless: false,
    selector: { app: name },
    ports: [{ name: 'http', port: 80, targetPort: 8080, appProtocol: '' }],
    publishNotReadyAddresses: false,
    clientIpAffinitySeconds: 0,
    internalTrafficPolicy: 'Cluster',
    trafficDistribution: '',
    ...more,
    meta: meta(name, more.meta),
  };
}

/** A slice of one service; each endpoint is `pod=address`, or `=address` without a pod. */
export function slice(
  serviceName: string,
  endpoints: readonly string[],
  ports: EndpointSliceObject['ports'] = [{ name: 'http', port: 8080 }],
): EndpointSliceObject {
  return {
    kind: 'EndpointSlice',
    meta: meta(`${serviceName}-v4`),
    service: serviceName,
    ports,
    endpoints: endpoints.map((text) => {
      const [podName = '', address = ''] = text.split('=');
      return { addresses: [address], ready: true, terminating: false, pod: podName, node: 'n1' };
    }),
  };
}

export function authorization(
  name: string,
  more: Partial<Omit<AuthorizationPolicyObject, 'meta' | 'kind'>> & { meta?: Partial<Meta> },
): AuthorizationPolicyObject {
  return {
    kind: 'AuthorizationPolicy',
    selector: undefined,
    action: 'ALLOW',
    rules: [],
    ...more,
    meta: meta(name, more.meta),
  };
}

export function peerAuthentication(
  name: string,
  mode: PeerAuthenticationObject['mode'],
  more: Partial<Omit<PeerAuthenticationObject, 'meta' | 'kind'>> & { meta?: Partial<Meta> } = {},
): PeerAuthenticationObject {
  return {
    kind: 'PeerAuthentication',
    selector: undefined,
    mode,
    portModes: {},
    ...more,
    meta: meta(name, more.meta),
  };
}

export function networkPolicy(
  name: string,
  podLabels: Labels,
  ingress: NetworkPolicyObject['ingress'],
): NetworkPolicyObject {
  const podSelector = { matchLabels: podLabels, matchExpressions: [] };
  return { kind: 'NetworkPolicy', meta: meta(name), podSelector, ingress };
}

export function serviceEntry(
  name: string,
  more: Partial<Omit<ServiceEntryObject, 'meta' | 'kind'>> & { meta?: Partial<Meta> },
): ServiceEntryObject {
  return {
    kind: 'ServiceEntry',
    hosts: [`${name}.example`],
    addresses: [],
    ports: [{ name: 'tls', number: 443, protocol: 'TLS', targetPort: 443 }],
    resolution: 'STATIC',
    endpoints: [],
    workloadSelector: undefined,
    exportTo: 'public',
    subjectAltNames: [],
    ...more,
    meta: meta(name, more.meta),
  };
}

export function endpoint(address: string, more: Partial<EntryEndpoint> = {}): EntryEndpoint {
  return {
    address,
    ports: {},
    labels: {},
    serviceAccount: 'default',
    locality: '',
    weight: 1,
    ...more,
  };
}

export function set(...objects: MeshObject[]): ObjectChange[] {
  return objects.map((object) => ({ type: 'set', object }));
}

export function gone(object: MeshObject): ObjectChange {
  const { namespace: space, name } = object.meta;
  return { type: 'delete', kind: object.kind, namespace: space, name };
}

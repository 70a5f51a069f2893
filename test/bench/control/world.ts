/** A cluster of many pods and services, as the objects that Kubernetes would give. */
import type { ObjectChange } from '../../../controller/model/diff.ts';
import type { Meta, PodObject } from '../../../controller/model/objects.ts';

export interface WorldSize {
  readonly workloads: number;
  readonly services: number;
  readonly nodes: number;
}

const NAMESPACES = 50;

export function nodeName(i: number): string {
  return `node-${i}`;
}

function meta(namespace: string, name: string, labels: Meta['labels'] = {}): Meta {
  return { namespace, name, labels, annotations: {}, createdMs: 1 };
}

/** Pod `i`: one of the replicas behind service `i % services`. */
export function pod(i: number, { services, nodes }: WorldSize, over: Partial<PodObject> = {}) {
  const app = i % services;
  const namespace = `team-${app % NAMESPACES}`;
  const object: PodObject = {
    kind: 'Pod',
    meta: meta(namespace, `app-${app}-7d9c8b6f5-${i}`, { app: `app-${app}`, tier: 'backend' }),
    podUid: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
    node: nodeName(i % nodes),
    serviceAccount: `app-${app}`,
    hostNetwork: false,
    addresses: [
      `10.${64 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`,
      `fd00::${(i + 1).toString(16)}`,
    ],
    phase: 'Running',
    ready: true,
    terminating: false,
    namedPorts: { http: 8080 },
    owner: { kind: 'Deployment', name: `app-${app}` },
    ...over,
  };
  return object;
}

export function makeWorld(size: WorldSize): ObjectChange[] {
  const changes: ObjectChange[] = [];
  const set = (object: Extract<ObjectChange, { type: 'set' }>['object']): void => {
    changes.push({ type: 'set', object });
  };
  for (let i = 0; i < NAMESPACES; i += 1) {
    const labels = { 'plumbline.dev/dataplane-mode': 'ambient' };
    set({ kind: 'Namespace', meta: meta('', `team-${i}`, labels) });
  }
  for (let i = 0; i < size.nodes; i += 1) {
    const labels = { 'topology.kubernetes.io/zone': `zone-${i % 3}` };
    set({ kind: 'Node', meta: meta('', nodeName(i), labels) });
  }
  for (let i = 0; i < size.services; i += 1) {
    set({
      kind: 'Service',
      meta: meta(`team-${i % NAMESPACES}`, `app-${i}`),
      clusterIps: [`10.32.${i >> 8}.${i & 255}`, `fd00:32::${(i + 1).toString(16)}`],
      headless: false,
      selector: { app: `app-${i}` },
      ports: [{ name: 'http', port: 80, targetPort: 'http', appProtocol: '' }],
      publishNotReadyAddresses: false,
      clientIpAffinitySeconds: 0,
      internalTrafficPolicy: 'Cluster',
      trafficDistribution: '',
    });
  }
  for (let i = 0; i < size.workloads; i += 1) set(pod(i, size));
  for (let i = 0; i < size.services; i += 1) {
    const replicas = pod(i, size).meta.namespace;
    const endpoints = [];
    for (let p = i; p < size.workloads; p += size.services)
      endpoints.push(endpointOf(p, size, true));
    set({ ...sliceHead(i, replicas), endpoints });
  }
  return changes;
}

function sliceHead(service: number, namespace: string) {
  return {
    kind: 'EndpointSlice' as const,
    meta: meta(namespace, `app-${service}-x`),
    service: `app-${service}`,
    ports: [{ name: 'http', port: 8080 }],
  };
}

function endpointOf(i: number, size: WorldSize, ready: boolean) {
  const { addresses, meta: of, node } = pod(i, size);
  return { addresses: addresses.slice(0, 1), ready, terminating: false, pod: of.name, node };
}

/** Pod `i` becomes ready, or ceases to be: the pod and the slice of its service. */
export function flip(i: number, size: WorldSize, ready: boolean): ObjectChange[] {
  const service = i % size.services;
  const endpoints = [];
  for (let p = service; p < size.workloads; p += size.services) {
    endpoints.push(endpointOf(p, size, p === i ? ready : true));
  }
  return [
    { type: 'set', object: pod(i, size, { ready }) },
    {
      type: 'set',
      object: { ...sliceHead(service, pod(i, size).meta.namespace), endpoints },
    },
  ];
}

/** Builds workloads, services, policies and views for tests: say what matters, the rest is usual. */
import type { Clause, Match, Policy } from '#common/mesh/policy.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import type { LoadBalancing, Service } from '#common/mesh/service.ts';
import type { MeshUpdate } from '#common/mesh/update.ts';
import { View } from '#common/mesh/view.ts';
import type { CaptureOptions, LocalPod, Workload } from '#common/mesh/workload.ts';

export const CLUSTER = 'Kubernetes';

/** A ready pod of deployment `name`, alone behind nothing, on node `node-1`, spoken to by HBONE. */
export function workload(name: string, over: Partial<Workload> = {}): Workload {
  const namespace = over.namespace ?? 'shop';
  return {
    uid: `${CLUSTER}//Pod/${namespace}/${name}`,
    name,
    namespace,
    serviceAccount: name,
    trustDomain: 'cluster.local',
    addresses: [],
    hostname: '',
    node: 'node-1',
    cluster: CLUSTER,
    tunnel: 'hbone',
    hostNetwork: false,
    canonicalName: name,
    canonicalRevision: 'latest',
    workloadName: name,
    workloadType: 'deployment',
    locality: { region: '', zone: '', subzone: '' },
    weight: 1,
    health: 'ready',
    memberships: [],
    policies: [],
    ...over,
  };
}

/** Makes `count` replicas, named and addressed one after another: `name-0` at `prefix` + 1, …. */
export function replicas(
  name: string,
  { count, prefix, ...over }: Partial<Workload> & { count: number; prefix: string },
): Workload[] {
  return Array.from({ length: count }, (_, i) =>
    workload(`${name}-${i}`, {
      addresses: [`${prefix}${i + 1}`],
      serviceAccount: name,
      canonicalName: name,
      workloadName: name,
      ...over,
    }),
  );
}

export const balancing: LoadBalancing = {
  algorithm: 'random',
  mode: 'any',
  scopes: [],
  clientIpAffinitySeconds: 0,
};

/** A Kubernetes Service with port 80, answered at 8080. */
export function service(name: string, over: Partial<Service> = {}): Service {
  const namespace = over.namespace ?? 'shop';
  const hostname = over.hostname ?? `${name}.${namespace}.svc.cluster.local`;
  return {
    key: `${namespace}/${hostname}`,
    name,
    namespace,
    hostname,
    addresses: [],
    ports: [{ name: 'http', port: 80, targetPort: 8080, appProtocol: '' }],
    headless: false,
    subjectAltNames: [],
    loadBalancing: balancing,
    publishNotReady: false,
    visibility: 'public',
    canonical: true,
    ...over,
  };
}

/** The membership of a workload in a service, with the service's own target ports. */
export function backs(...services: readonly Service[]): Pick<Workload, 'memberships'> {
  return { memberships: services.map(({ key }) => ({ service: key, ports: [] })) };
}

/** An AuthorizationPolicy of namespace `shop`; one rule `rules[0]`, with the clauses given. */
export function policy(name: string, over: Partial<Policy> = {}): Policy {
  const namespace = over.namespace ?? 'shop';
  const layer = over.layer ?? 'authorization';
  return {
    key: `${layer}/${namespace}/${name}`,
    layer,
    name,
    namespace,
    scope: 'namespace',
    action: 'allow',
    dryRun: false,
    rules: [{ name: 'rules[0]', clauses: [] }],
    ...over,
  };
}

/** One rule whose clauses have one match each, so that all must hold. */
export function ruleOf(...matches: readonly Match[]): Pick<Policy, 'rules'> {
  const clauses: Clause[] = matches.map((match) => ({ matches: [match] }));
  return { rules: [{ name: 'rules[0]', clauses }] };
}

/** What PeerAuthentication STRICT becomes. */
export function strict(over: Partial<Policy> = {}): Policy {
  return policy('strict', {
    layer: 'peer-authentication',
    action: 'deny',
    ...ruleOf({ notPrincipals: ['*'] }),
    ...over,
  });
}

export const captureOptions: CaptureOptions = {
  excludeInboundPorts: [],
  excludeOutboundPorts: [],
  excludeOutboundCidrs: [],
  dnsCapture: false,
  failClosed: true,
  cutExisting: false,
};

/** The pod of a workload on its node, enrolled. */
export function localPod(of: Workload, over: Partial<LocalPod> = {}): LocalPod {
  return {
    uid: of.uid,
    podUid: `pod-${of.name}`,
    name: of.name,
    namespace: of.namespace,
    serviceAccount: of.serviceAccount,
    addresses: of.addresses,
    enrolled: true,
    exemption: '',
    options: captureOptions,
    ...over,
  };
}

type Contents = Partial<Pick<MeshUpdate, 'workloads' | 'services' | 'policies' | 'pods'>>;

export function snapshot(contents: Contents = {}, version = 1): MeshUpdate {
  return { ...delta(contents, version), snapshot: true };
}

export function delta(
  contents: Contents & { removed?: Partial<MeshUpdate['removed']> },
  version: number,
): MeshUpdate {
  const { removed, ...rest } = contents;
  return {
    version,
    snapshot: false,
    workloads: [],
    services: [],
    policies: [],
    pods: [],
    ...rest,
    removed: { workloads: [], services: [], policies: [], pods: [], ...removed },
  };
}

export function viewOf(contents: Contents = {}): View {
  const view = new View();
  view.apply(packUpdate(snapshot(contents)));
  return view;
}

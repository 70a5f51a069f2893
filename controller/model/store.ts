/**
 * The objects of the mesh and the indexes that answer "who is touched by this one".
 *
 * An index is changed in the same call as the object, so at any moment all of them agree. The store
 * decides nothing: what a change means is dirty.ts, what an object becomes is the build files.
 */
import type {
  AuthorizationPolicyObject,
  CaptureReport,
  EndpointSliceObject,
  Labels,
  MeshKind,
  MeshObject,
  Meta,
  NamespaceObject,
  NetworkPolicyObject,
  NodeObject,
  PeerAuthenticationObject,
  PodObject,
  ServiceEntryObject,
  ServiceObject,
  WorkloadEntryObject,
} from './objects.ts';
import { keyOf } from './objects.ts';
import { EVERYWHERE, SelectorIndex, selectorOf } from './selector.ts';
import { SetMap } from './set-map.ts';

/** What selectors select: a pod or a WorkloadEntry. */
export interface Subject {
  /** `Pod/shop/cart-0`. */
  readonly id: string;
  readonly namespace: string;
  readonly labels: Labels;
}

export class Store {
  readonly namespaces = new Map<string, NamespaceObject>();
  readonly nodes = new Map<string, NodeObject>();
  readonly pods = new Map<string, PodObject>();
  readonly services = new Map<string, ServiceObject>();
  readonly slices = new Map<string, EndpointSliceObject>();
  readonly networkPolicies = new Map<string, NetworkPolicyObject>();
  readonly authorizationPolicies = new Map<string, AuthorizationPolicyObject>();
  readonly peerAuthentications = new Map<string, PeerAuthenticationObject>();
  readonly serviceEntries = new Map<string, ServiceEntryObject>();
  readonly workloadEntries = new Map<string, WorkloadEntryObject>();
  readonly captureReports = new Map<string, CaptureReport>();

  /** Subject ids by namespace, pod keys by node, slice keys by pod and by service. */
  readonly subjectsIn = new SetMap();
  readonly podsOn = new SetMap();
  readonly slicesOfPod = new SetMap();
  readonly slicesOfService = new SetMap();
  /** Slices with endpoints that have no pod, by the node of such an endpoint. */
  readonly bareSlicesOn = new SetMap();
  readonly servicesIn = new SetMap();
  readonly entriesOfHost = new SetMap();
  readonly peerAuthenticationsIn = new SetMap();
  readonly workloadEntriesIn = new SetMap();

  readonly serviceSelectors = new SelectorIndex();
  readonly entrySelectors = new SelectorIndex();
  readonly authorizationSelectors = new SelectorIndex();
  readonly networkSelectors = new SelectorIndex();
  readonly peerSelectors = new SelectorIndex();
  /** The pods that NetworkPolicies admit, under `<policy> <rule> <peer>`. */
  readonly admittedSelectors = new SelectorIndex();

  readonly #rootNamespace: string;
  readonly #byKind: Readonly<Record<MeshKind, Map<string, MeshObject>>> = {
    Namespace: this.namespaces,
    Node: this.nodes,
    Pod: this.pods,
    Service: this.services,
    EndpointSlice: this.slices,
    NetworkPolicy: this.networkPolicies,
    AuthorizationPolicy: this.authorizationPolicies,
    PeerAuthentication: this.peerAuthentications,
    ServiceEntry: this.serviceEntries,
    WorkloadEntry: this.workloadEntries,
    CaptureReport: this.captureReports,
  };

  constructor(rootNamespace: string) {
    this.#rootNamespace = rootNamespace;
  }

  get(kind: MeshKind, key: string): MeshObject | undefined {
    return this.#mapOf(kind).get(key);
  }

  set(object: MeshObject): void {
    const key = keyOf(object.meta);
    this.delete(object.kind, key);
    this.#mapOf(object.kind).set(key, object);
    this.#index(object, key, true);
  }

  delete(kind: MeshKind, key: string): void {
    const old = this.get(kind, key);
    if (old === undefined) return;
    this.#mapOf(kind).delete(key);
    this.#index(old, key, false);
  }

  subject(id: string): Subject | undefined {
    const slash = id.indexOf('/');
    const map = id.startsWith('Pod/') ? this.pods : this.workloadEntries;
    const object = map.get(id.slice(slash + 1));
    return object && subjectOf(object);
  }

  /** The namespace under which selectors of a policy are filed: the root namespace's hold everywhere. */
  scopeOf(meta: Meta): string {
    return meta.namespace === this.#rootNamespace ? EVERYWHERE : meta.namespace;
  }

  #index(object: MeshObject, key: string, isThere: boolean): void {
    const { namespace } = object.meta;
    const select = (index: SelectorIndex, scope: string, labels: Labels | undefined): void => {
      if (isThere && hasLabels(labels)) index.set(key, scope, selectorOf(labels));
      else index.delete(key);
    };
    switch (object.kind) {
      case 'Pod':
        this.subjectsIn.put(namespace, `Pod/${key}`, isThere);
        this.podsOn.put(object.node, key, isThere);
        break;
      case 'WorkloadEntry':
        this.subjectsIn.put(namespace, `WorkloadEntry/${key}`, isThere);
        this.workloadEntriesIn.put(namespace, key, isThere);
        break;
      case 'Service':
        this.servicesIn.put(namespace, key, isThere);
        select(this.serviceSelectors, namespace, object.selector);
        break;
      case 'EndpointSlice':
        this.slicesOfService.put(`${namespace}/${object.service}`, key, isThere);
        for (const { pod, node } of object.endpoints) {
          if (pod === '') this.bareSlicesOn.put(node, key, isThere);
          else this.slicesOfPod.put(`${namespace}/${pod}`, key, isThere);
        }
        break;
      case 'ServiceEntry':
        for (const host of object.hosts) {
          this.entriesOfHost.put(`${namespace}/${host}`, key, isThere);
        }
        select(this.entrySelectors, namespace, object.workloadSelector);
        break;
      case 'AuthorizationPolicy':
        select(this.authorizationSelectors, this.scopeOf(object.meta), object.selector);
        break;
      case 'PeerAuthentication':
        this.peerAuthenticationsIn.put(namespace, key, isThere);
        select(this.peerSelectors, namespace, object.selector);
        break;
      case 'NetworkPolicy':
        if (isThere) this.networkSelectors.set(key, namespace, object.podSelector);
        else this.networkSelectors.delete(key);
        this.#indexPeers(object, key, isThere);
        break;
      case 'Namespace':
      case 'Node':
      case 'CaptureReport':
        break;
    }
  }

  #indexPeers(policy: NetworkPolicyObject, key: string, isThere: boolean): void {
    for (const [i, rule] of (policy.ingress ?? []).entries()) {
      for (const [j, peer] of rule.from.entries()) {
        if (peer.kind !== 'pods') continue;
        const id = `${key} ${i} ${j}`;
        const scope = peer.namespaces === undefined ? policy.meta.namespace : EVERYWHERE;
        if (isThere) this.admittedSelectors.set(id, scope, peer.pods ?? selectorOf({}));
        else this.admittedSelectors.delete(id);
      }
    }
  }

  #mapOf(kind: MeshKind): Map<string, MeshObject> {
    return this.#byKind[kind];
  }
}

/** A selector that names no label stands for none: of a Service, a policy, a ServiceEntry alike. */
export function hasLabels(labels: Labels | undefined): labels is Labels {
  return labels !== undefined && Object.keys(labels).length > 0;
}

function subjectOf(object: PodObject | WorkloadEntryObject): Subject {
  const { meta } = object;
  const own = object.kind === 'WorkloadEntry' ? object.endpoint.labels : {};
  return {
    id: `${object.kind}/${keyOf(meta)}`,
    namespace: meta.namespace,
    labels: object.kind === 'Pod' ? meta.labels : { ...meta.labels, ...own },
  };
}

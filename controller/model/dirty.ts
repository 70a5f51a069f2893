/**
 * What has to be worked out again when an object changes: names only, never results.
 *
 * The rule that makes this right: whatever a build file reads from the store, a change of it marks
 * here. Marking too much costs time, marking too little leaves a stale record, so when in doubt a
 * rare change (a namespace, a policy's scope) marks widely and a frequent one (a pod, a slice) exactly.
 */
import { hostnameOf, serviceKey } from './build-service.ts';
import { isLive } from './build-workload.ts';
import type { ModelOptions } from './diff.ts';
import { equal } from './equal.ts';
import { holdsAddressOf, usesPortNames } from './network-policy.ts';
import type {
  AuthorizationPolicyObject,
  EndpointSliceObject,
  LabelSelector,
  Labels,
  MeshObject,
  NetworkPolicyObject,
  PeerAuthenticationObject,
  PodObject,
  ServiceEntryObject,
  ServiceObject,
} from './objects.ts';
import { keyOf } from './objects.ts';
import { EVERYWHERE, SelectorIndex, selectorOf } from './selector.ts';
import { hasLabels, type Store } from './store.ts';

export class Dirty {
  /** `Pod/shop/cart-0`, `ServiceEntry/…`: what workloads are made from. */
  readonly workloads = new Set<string>();
  /** Keys of services. */
  readonly services = new Set<string>();
  /** `NetworkPolicy/shop/cart`: what policies are made from. */
  readonly policies = new Set<string>();

  readonly #store: Store;
  readonly #options: ModelOptions;
  readonly #pending = new SelectorIndex();
  readonly #scopes = new Set<string>();
  #selectors = 0;

  constructor(store: Store, options: ModelOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** Marks for a change that the store already holds; `old` and `now` are of one kind and key. */
  mark(old: MeshObject | undefined, now: MeshObject | undefined): void {
    const any = now ?? old;
    if (any === undefined) return;
    const key = keyOf(any.meta);
    switch (any.kind) {
      case 'Namespace':
        this.#namespace(any.meta.name);
        break;
      case 'Node':
        for (const pod of this.#store.podsOn.get(key)) this.workloads.add(`Pod/${pod}`);
        for (const slice of this.#store.bareSlicesOn.get(key)) {
          this.workloads.add(`EndpointSlice/${slice}`);
        }
        break;
      case 'Pod':
        this.#pod(key, pick(old, 'Pod'), pick(now, 'Pod'));
        break;
      case 'CaptureReport':
        this.workloads.add(`Pod/${key}`);
        break;
      case 'WorkloadEntry':
        this.workloads.add(`WorkloadEntry/${key}`);
        break;
      case 'Service':
        this.#service(pick(old, 'Service'), pick(now, 'Service'));
        break;
      case 'EndpointSlice':
        this.#slice(key, pick(old, 'EndpointSlice'), pick(now, 'EndpointSlice'));
        break;
      case 'ServiceEntry':
        for (const entry of both(pick(old, 'ServiceEntry'), pick(now, 'ServiceEntry'))) {
          this.#entry(entry);
        }
        break;
      case 'AuthorizationPolicy':
        this.policies.add(`AuthorizationPolicy/${key}`);
        this.#authorized(pick(old, 'AuthorizationPolicy'), pick(now, 'AuthorizationPolicy'));
        break;
      case 'PeerAuthentication':
        for (const policy of both(
          pick(old, 'PeerAuthentication'),
          pick(now, 'PeerAuthentication'),
        )) {
          this.#authenticated(policy);
        }
        break;
      case 'NetworkPolicy':
        this.policies.add(`NetworkPolicy/${key}`);
        this.#isolated(pick(old, 'NetworkPolicy'), pick(now, 'NetworkPolicy'));
        break;
    }
  }

  /** Marks what the selectors of all changes select; to be called once, after the last change. */
  settle(): void {
    if (this.#selectors === 0) return;
    const isWide = this.#scopes.has(EVERYWHERE);
    for (const namespace of isWide ? this.#store.subjectsIn.keys() : this.#scopes) {
      for (const id of this.#store.subjectsIn.get(namespace)) {
        if (this.workloads.has(id)) continue;
        const labels = this.#store.subject(id)?.labels;
        if (labels !== undefined && this.#pending.selectsAny(namespace, labels)) {
          this.workloads.add(id);
        }
      }
    }
  }

  #namespace(name: string): void {
    for (const id of this.#store.subjectsIn.get(name)) this.workloads.add(id);
    for (const key of this.#store.servicesIn.get(name)) {
      const service = this.#store.services.get(key);
      if (service !== undefined) this.services.add(serviceKey(service.meta, this.#options));
    }
    for (const key of this.#store.networkPolicies.keys()) this.policies.add(`NetworkPolicy/${key}`);
  }

  #pod(key: string, old: PodObject | undefined, now: PodObject | undefined): void {
    this.workloads.add(`Pod/${key}`);
    if (old !== undefined && now !== undefined && looksTheSameToPolicies(old, now)) return;
    for (const pod of both(old, now)) {
      const { namespace, labels } = pod.meta;
      for (const id of this.#store.admittedSelectors.matching(namespace, labels)) {
        const policy = this.#store.networkPolicies.get(id.slice(0, id.indexOf(' ')));
        if (policy !== undefined && holdsAddressOf(pod, policy, this.#store, this.#options)) {
          this.policies.add(`NetworkPolicy/${keyOf(policy.meta)}`);
        }
      }
      for (const id of this.#store.networkSelectors.matching(namespace, labels)) {
        const policy = this.#store.networkPolicies.get(id);
        if (policy !== undefined && usesPortNames(policy)) this.policies.add(`NetworkPolicy/${id}`);
      }
    }
  }

  #service(old: ServiceObject | undefined, now: ServiceObject | undefined): void {
    const { meta } = now ?? old ?? {};
    if (meta === undefined) return;
    const key = serviceKey(meta, this.#options);
    this.services.add(key);
    if (!equal(old?.ports, now?.ports)) {
      for (const slice of this.#store.slicesOfService.get(keyOf(meta))) this.#members(slice);
    }
    if (!equal([old?.ports, old?.selector], [now?.ports, now?.selector])) {
      for (const entry of this.#store.workloadEntriesIn.get(meta.namespace)) {
        this.workloads.add(`WorkloadEntry/${entry}`);
      }
    }
    if (old === undefined || now === undefined) {
      this.#rivals(`${meta.namespace}/${hostnameOf(meta, this.#options)}`);
    }
  }

  #slice(
    key: string,
    old: EndpointSliceObject | undefined,
    now: EndpointSliceObject | undefined,
  ): void {
    const isBare = both(old, now).some((slice) => slice.endpoints.some(({ pod }) => pod === ''));
    if (isBare) this.workloads.add(`EndpointSlice/${key}`);
    const before = podsOf(old);
    const after = podsOf(now);
    const isSame = equal([old?.service, old?.ports], [now?.service, now?.ports]);
    for (const pod of new Set([...before, ...after])) {
      if (!isSame || before.has(pod) !== after.has(pod)) this.workloads.add(`Pod/${pod}`);
    }
  }

  #members(sliceKey: string): void {
    const slice = this.#store.slices.get(sliceKey);
    this.workloads.add(`EndpointSlice/${sliceKey}`);
    for (const pod of podsOf(slice)) this.workloads.add(`Pod/${pod}`);
  }

  #entry(entry: ServiceEntryObject): void {
    this.#entryMembers(entry);
    for (const host of entry.hosts) {
      this.services.add(`${entry.meta.namespace}/${host}`);
      this.#rivals(`${entry.meta.namespace}/${host}`);
    }
  }

  /** Those who claim the same host gain or lose it. */
  #rivals(hostKey: string): void {
    for (const key of this.#store.entriesOfHost.get(hostKey)) {
      const rival = this.#store.serviceEntries.get(key);
      if (rival !== undefined) this.#entryMembers(rival);
    }
  }

  #entryMembers(entry: ServiceEntryObject): void {
    this.workloads.add(`ServiceEntry/${keyOf(entry.meta)}`);
    this.#subjects(entry.meta.namespace, entry.workloadSelector);
  }

  #authorized(
    old: AuthorizationPolicyObject | undefined,
    now: AuthorizationPolicyObject | undefined,
  ): void {
    if (old !== undefined && now !== undefined && equal(old.selector, now.selector)) return;
    for (const policy of both(old, now)) {
      this.#subjects(this.#store.scopeOf(policy.meta), policy.selector);
    }
  }

  #authenticated(policy: PeerAuthenticationObject): void {
    const { namespace } = policy.meta;
    this.policies.add(`PeerAuthentication/${keyOf(policy.meta)}`);
    if (hasLabels(policy.selector)) {
      this.#subjects(namespace, policy.selector);
      return;
    }
    const scope = this.#store.scopeOf(policy.meta);
    for (const one of scope === EVERYWHERE ? this.#store.subjectsIn.keys() : [namespace]) {
      for (const id of this.#store.subjectsIn.get(one)) this.workloads.add(id);
    }
    // What is UNSET in a policy of this scope is taken from this one.
    for (const one of scope === EVERYWHERE
      ? this.#store.peerAuthenticationsIn.keys()
      : [namespace]) {
      for (const key of this.#store.peerAuthenticationsIn.get(one)) {
        this.policies.add(`PeerAuthentication/${key}`);
      }
    }
  }

  #isolated(old: NetworkPolicyObject | undefined, now: NetworkPolicyObject | undefined): void {
    const selection = (policy: NetworkPolicyObject | undefined): unknown =>
      policy && [policy.podSelector, policy.ingress === undefined];
    if (equal(selection(old), selection(now))) return;
    for (const policy of both(old, now)) {
      this.#selected(policy.meta.namespace, policy.podSelector);
    }
  }

  #subjects(scope: string, labels: Labels | undefined): void {
    if (hasLabels(labels)) this.#selected(scope, selectorOf(labels));
  }

  /** Finding the selected is put off to `settle`, where one pass serves all selectors. */
  #selected(scope: string, selector: LabelSelector): void {
    this.#pending.set(String(this.#selectors), scope, selector);
    this.#selectors += 1;
    this.#scopes.add(scope);
  }
}

/** Everything of a pod that a NetworkPolicy can hold or look at; readiness is not among it. */
function looksTheSameToPolicies(a: PodObject, b: PodObject): boolean {
  return (
    isLive(a) === isLive(b) &&
    a.hostNetwork === b.hostNetwork &&
    equal(a.addresses, b.addresses) &&
    equal(a.namedPorts, b.namedPorts) &&
    equal(a.meta.labels, b.meta.labels) &&
    equal(a.meta.annotations, b.meta.annotations)
  );
}

function podsOf(slice: EndpointSliceObject | undefined): Set<string> {
  const pods = new Set<string>();
  for (const { pod } of slice?.endpoints ?? []) {
    if (pod !== '') pods.add(`${slice?.meta.namespace}/${pod}`);
  }
  return pods;
}

function both<T>(old: T | undefined, now: T | undefined): T[] {
  return [old, now].filter((object) => object !== undefined);
}

function pick<K extends MeshObject['kind']>(
  object: MeshObject | undefined,
  kind: K,
): Extract<MeshObject, { kind: K }> | undefined {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the kind was just compared
  return object?.kind === kind ? (object as Extract<MeshObject, { kind: K }>) : undefined;
}

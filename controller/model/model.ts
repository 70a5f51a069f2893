/**
 * The world of the mesh, worked out from its objects and kept up to date by difference.
 *
 * `apply` costs what its changes touch, not what there is: each change marks names to look at again
 * (dirty.ts), those alone are rebuilt from the objects (the build files, pure), and only what came
 * out different is in the diff. The order of changes inside one call does not matter; a call is
 * applied as a whole, so a workload never lists a policy or a service of a later call.
 */
import type { EnrolledNamespace } from '#common/control/messages.ts';
import type { Policy } from '#common/mesh/policy.ts';
import type { Service } from '#common/mesh/service.ts';
import type { Workload } from '#common/mesh/workload.ts';
import { buildAuthorization, warningsOf } from './authorization.ts';
import { buildService } from './build-service.ts';
import {
  buildPod,
  buildServiceEntry,
  buildSliceEndpoints,
  buildWorkloadEntry,
  podWorkloadUid,
} from './build-workload.ts';
import {
  DEFAULT_MODEL_OPTIONS,
  type ModelDiff,
  type ModelOptions,
  type ModelWarning,
  type ObjectChange,
  type PlacedPod,
} from './diff.ts';
import { Dirty } from './dirty.ts';
import { enrolledNamespace } from './enrolment.ts';
import { equal } from './equal.ts';
import { buildNetworkPolicy } from './network-policy.ts';
import { keyOf } from './objects.ts';
import { buildPeerAuthentication } from './peer-authentication.ts';
import { Store } from './store.ts';

const LAYERS: Readonly<Record<string, Policy['layer']>> = {
  AuthorizationPolicy: 'authorization',
  NetworkPolicy: 'network-policy',
  PeerAuthentication: 'peer-authentication',
};

export class Model {
  readonly options: ModelOptions;
  readonly #store: Store;
  readonly #workloads = new Output<Workload>();
  readonly #pods = new Output<PlacedPod>();
  readonly #services = new Output<Service>();
  readonly #policies = new Output<Policy>();
  /** Uids of the workloads that one ServiceEntry or EndpointSlice makes. */
  readonly #uidsBySource = new Map<string, readonly string[]>();
  readonly #warnings = new Map<string, readonly ModelWarning[]>();

  constructor(options: Partial<ModelOptions> = {}) {
    this.options = { ...DEFAULT_MODEL_OPTIONS, ...options };
    this.#store = new Store(this.options.rootNamespace);
  }

  apply(changes: readonly ObjectChange[]): ModelDiff {
    const dirty = new Dirty(this.#store, this.options);
    for (const change of changes) this.#record(change, dirty);
    dirty.settle();
    for (const change of changes) this.#forgetReport(change);
    for (const id of dirty.workloads) this.#rebuildWorkloads(id);
    for (const key of dirty.services) {
      this.#services.put(key, buildService(key, this.#store, this.options));
    }
    const warnings: ModelWarning[] = [];
    for (const id of dirty.policies) warnings.push(...this.#rebuildPolicy(id));
    const [workloads, pods] = [this.#workloads.take(), this.#pods.take()];
    const [services, policies] = [this.#services.take(), this.#policies.take()];
    return {
      workloads: workloads.changed,
      services: services.changed,
      policies: policies.changed,
      pods: pods.changed,
      removed: {
        workloads: workloads.removed,
        services: services.removed,
        policies: policies.removed,
        pods: pods.removed,
      },
      warnings,
      rebuilt: {
        workloads: dirty.workloads.size,
        services: dirty.services.size,
        policies: dirty.policies.size,
      },
    };
  }

  /** Everything there is, as the diff from an empty world. */
  snapshot(): ModelDiff {
    return {
      workloads: this.#workloads.all(),
      services: this.#services.all(),
      policies: this.#policies.all(),
      pods: this.#pods.all(),
      removed: { workloads: [], services: [], policies: [], pods: [] },
      warnings: [...this.#warnings.values()].flat(),
      rebuilt: { workloads: 0, services: 0, policies: 0 },
    };
  }

  /** The namespaces whose pods are enrolled unless they opt out, by name. */
  enrolledNamespaces(): readonly EnrolledNamespace[] {
    return [...this.#store.namespaces.values()]
      .flatMap(({ meta }) => enrolledNamespace(meta, this.options) ?? [])
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** What the author of one object should know now. */
  warningsOf(kind: string, key: string): readonly ModelWarning[] {
    return this.#warnings.get(`${kind}/${key}`) ?? [];
  }

  #record(change: ObjectChange, dirty: Dirty): void {
    const store = this.#store;
    if (change.type === 'delete') {
      const old = store.get(change.kind, keyOf(change));
      if (old === undefined) return;
      store.delete(change.kind, keyOf(change));
      dirty.mark(old, undefined);
      return;
    }
    const { object } = change;
    const old = store.get(object.kind, keyOf(object.meta));
    if (equal(old, object)) return;
    store.set(object);
    dirty.mark(old, object);
  }

  /** A report outlives no pod, whichever of the two changed: else reports would pile up by name. */
  #forgetReport(change: ObjectChange): void {
    const kind = change.type === 'set' ? change.object.kind : change.kind;
    if (kind !== 'Pod' && kind !== 'CaptureReport') return;
    const key = keyOf(change.type === 'set' ? change.object.meta : change);
    if (!this.#store.pods.has(key)) this.#store.delete('CaptureReport', key);
  }

  #rebuildWorkloads(id: string): void {
    const slash = id.indexOf('/');
    const key = id.slice(slash + 1);
    if (id.startsWith('Pod/')) {
      const pod = this.#store.pods.get(key);
      const built = pod && buildPod(pod, this.#store, this.options);
      const uid = podWorkloadUid(key, this.options);
      this.#workloads.put(uid, built?.workload);
      this.#pods.put(uid, built?.placed);
      return;
    }
    const made = this.#makeOthers(id.slice(0, slash), key);
    const uids = made.map(({ uid }) => uid);
    for (const uid of this.#uidsBySource.get(id) ?? []) {
      if (!uids.includes(uid)) this.#workloads.put(uid, undefined);
    }
    for (const workload of made) this.#workloads.put(workload.uid, workload);
    if (uids.length === 0) this.#uidsBySource.delete(id);
    else this.#uidsBySource.set(id, uids);
  }

  #makeOthers(kind: string, key: string): Workload[] {
    const store = this.#store;
    if (kind === 'WorkloadEntry') {
      const entry = store.workloadEntries.get(key);
      return entry === undefined ? [] : [buildWorkloadEntry(entry, store, this.options)];
    }
    if (kind === 'ServiceEntry') {
      const entry = store.serviceEntries.get(key);
      return entry === undefined ? [] : buildServiceEntry(entry, store, this.options);
    }
    const slice = store.slices.get(key);
    return slice === undefined ? [] : buildSliceEndpoints(slice, store, this.options);
  }

  #rebuildPolicy(id: string): readonly ModelWarning[] {
    const slash = id.indexOf('/');
    const kind = id.slice(0, slash);
    const key = id.slice(slash + 1);
    const [policy, warnings] = this.#makePolicy(kind, key);
    this.#policies.put(`${LAYERS[kind]}/${key}`, policy);
    if (warnings.length === 0) this.#warnings.delete(id);
    else this.#warnings.set(id, warnings);
    return warnings;
  }

  #makePolicy(kind: string, key: string): [Policy | undefined, readonly ModelWarning[]] {
    const store = this.#store;
    if (kind === 'AuthorizationPolicy') {
      const object = store.authorizationPolicies.get(key);
      if (object === undefined) return [undefined, []];
      const compiled = buildAuthorization(object, this.options);
      return [compiled.policy, warningsOf(object, compiled)];
    }
    if (kind === 'PeerAuthentication') {
      const object = store.peerAuthentications.get(key);
      return [object && buildPeerAuthentication(object, store, this.options), []];
    }
    const object = store.networkPolicies.get(key);
    return [object && buildNetworkPolicy(object, store, this.options), []];
  }
}

/** The records of one kind, and which of them differ since they were last taken. */
class Output<T> {
  readonly #records = new Map<string, T>();
  readonly #changed = new Map<string, T>();
  readonly #removed = new Set<string>();

  put(key: string, record: T | undefined): void {
    const old = this.#records.get(key);
    if (record === undefined) {
      this.#changed.delete(key);
      if (this.#records.delete(key)) this.#removed.add(key);
    } else if (!equal(old, record)) {
      this.#records.set(key, record);
      this.#changed.set(key, record);
      this.#removed.delete(key);
    }
  }

  take(): { changed: T[]; removed: string[] } {
    const taken = { changed: [...this.#changed.values()], removed: [...this.#removed] };
    this.#changed.clear();
    this.#removed.clear();
    return taken;
  }

  all(): T[] {
    return [...this.#records.values()];
  }
}

/**
 * The mesh as it is pushed: every object once, with the version that last changed it.
 *
 * Items are never altered, only replaced, so a list of them is a consistent picture for as long as
 * somebody sends from it. The log of changes is bounded; because it is read by object and not by
 * event, what a slow agent has to catch up with is bounded by the state, however much happened.
 */
import type { Identity } from '#common/identity.ts';
import type { MeshUpdate } from '#common/mesh/update.ts';
import type { Workload } from '#common/mesh/workload.ts';
import type { ModelDiff, PlacedPod } from '../model/diff.ts';
import { Chunks, type Body } from './chunks.ts';
import { Item, type Kind } from './item.ts';
import { NodeScope } from './node-scope.ts';
import {
  audienceOfPolicy,
  audienceOfService,
  audiencesOfPod,
  audiencesOfWorkload,
  EVERYBODY,
  identityOfPod,
  nodeAudience,
  withoutPolicies,
  type Audience,
} from './scope.ts';

/** What an agent at some version lacks. */
export interface Difference {
  readonly version: number;
  readonly snapshot: boolean;
  /** Of a snapshot: what everybody may know. */
  readonly common: readonly Body[];
  /** Comes after `common`, and may replace objects there. */
  readonly items: readonly Item[];
  readonly removed: MeshUpdate['removed'];
}

interface Change {
  readonly item: Item;
  /** Who could know the object before this change; undefined when nobody could. */
  readonly before: Audience | undefined;
}

export interface MeshStateOptions {
  readonly trustDomain: string;
  /** Changes that are remembered for those who come back. */
  readonly longestLog?: number;
}

const LONGEST_LOG = 131_072;

export class MeshState {
  readonly #trustDomain: string;
  readonly #longestLog: number;
  /** With what was removed, while the log still speaks of it. */
  readonly #items = new Map<string, Item>();
  readonly #byAudience = new Map<Audience, Set<Item>>();
  /** What everybody may know. */
  readonly #common = {
    workloads: new Chunks('workloads'),
    services: new Chunks('services'),
    policies: new Chunks('policies'),
    pods: new Chunks('pods'),
  };
  /** Workloads of which their own node gets another form. */
  readonly #ownByNode = new Map<string, Set<Item>>();
  readonly #scopes = new Map<string, NodeScope>();
  readonly #workloads = new Map<string, Workload>();
  readonly #pods = new Map<string, PlacedPod>();
  readonly #nodeByPodUid = new Map<string, string>();
  #log: Change[] = [];
  #floor = 0;
  #version = 0;

  constructor({ trustDomain, longestLog = LONGEST_LOG }: MeshStateOptions) {
    this.#trustDomain = trustDomain;
    this.#longestLog = longestLog;
  }

  get version(): number {
    return this.#version;
  }

  /** Takes what the model found different, as one version. */
  apply(diff: ModelDiff): void {
    this.#version += 1;
    for (const pod of diff.pods) this.#place(pod.pod.uid, pod);
    for (const uid of diff.removed.pods) this.#place(uid, undefined);
    for (const workload of diff.workloads) this.#settle(workload.uid, workload);
    for (const uid of diff.removed.workloads) this.#settle(uid, undefined);
    for (const service of diff.services) {
      this.#put('services', service.key, { value: service, audience: audienceOfService(service) });
    }
    for (const policy of diff.policies) {
      this.#put('policies', policy.key, { value: policy, audience: audienceOfPolicy(policy) });
    }
    for (const key of diff.removed.services) this.#put('services', key, undefined);
    for (const key of diff.removed.policies) this.#put('policies', key, undefined);
    this.#trim();
  }

  /** Says whether a pod on this node gives it the right to this identity. */
  mayAsk(node: string, identity: Identity): boolean {
    return this.#scopes.get(node)?.hasIdentity(identity) ?? false;
  }

  /** The nodes that have enrolled pods now, so that their agents hold certificates. */
  nodesInMesh(): string[] {
    return [...this.#scopes].flatMap(([node, scope]) =>
      scope.identities().length > 0 ? [node] : [],
    );
  }

  /** The node of a pod; undefined when there is no such pod. */
  nodeOf(podUid: string): string | undefined {
    return this.#nodeByPodUid.get(podUid);
  }

  /** How many objects of each kind there are. */
  counts(): Readonly<Record<Kind, number>> {
    const counts = { workloads: 0, services: 0, policies: 0, pods: 0 };
    for (const item of this.#items.values()) if (item.isLive) counts[item.kind] += 1;
    return counts;
  }

  /** Says whether an agent at `version` can be brought here without a snapshot. */
  canResume(node: string, version: number): boolean {
    const floor = Math.max(this.#floor, this.#scopes.get(node)?.floor ?? 0);
    return version >= floor && version <= this.#version;
  }

  /** All that the node may know. */
  snapshot(node: string): Difference {
    const items = new Set<Item>(this.#ownByNode.get(node));
    for (const audience of this.#scopes.get(node)?.audiences() ?? []) {
      this.#addAudience(audience, items);
    }
    const common = Object.values(this.#common).flatMap((chunks) => chunks.bodies());
    const removed = noneRemoved();
    return { version: this.#version, snapshot: true, common, items: [...items], removed };
  }

  /** What changed for the node after `version`; ask `canResume` first. */
  since(node: string, version: number): Difference {
    const scope = this.#scopes.get(node);
    const { gained, lost } = scope?.since(version) ?? NO_CHANGE;
    const candidates = new Set<Item>();
    const known = new Set<string>();
    for (let i = this.#log.length - 1; i >= 0; i -= 1) {
      const change = this.#log[i];
      if (change === undefined || change.item.version <= version) break;
      const { id } = change.item;
      const { before } = change;
      if (before !== undefined && (isVisible(before, scope) || lost.has(before))) known.add(id);
      const item = this.#items.get(id);
      if (item !== undefined) candidates.add(item);
    }
    for (const audience of gained) this.#addAudience(audience, candidates);
    for (const audience of lost) {
      for (const item of this.#byAudience.get(audience) ?? []) {
        candidates.add(item);
        known.add(item.id);
      }
    }
    return this.#sort(candidates, { scope, known });
  }

  #addAudience(audience: Audience, to: Set<Item>): void {
    for (const item of this.#byAudience.get(audience) ?? []) to.add(item);
  }

  #sort(
    candidates: Iterable<Item>,
    { scope, known }: { scope: NodeScope | undefined; known: ReadonlySet<string> },
  ): Difference {
    const items: Item[] = [];
    const removed = noneRemoved();
    for (const item of candidates) {
      if (item.isLive && isVisible(item.audience, scope)) items.push(item);
      else if (known.has(item.id)) removed[item.kind].push(item.key);
    }
    return { version: this.#version, snapshot: false, common: [], items, removed };
  }

  #place(uid: string, next: PlacedPod | undefined): void {
    const old = this.#pods.get(uid);
    // Arrivals first: what both have is never lost in between.
    if (next !== undefined) this.#countPod(next, 1);
    if (old !== undefined) this.#countPod(old, -1);
    this.#pods.delete(uid);
    if (old !== undefined) this.#nodeByPodUid.delete(old.pod.podUid);
    if (next !== undefined) {
      this.#pods.set(uid, next);
      this.#nodeByPodUid.set(next.pod.podUid, next.node);
    }
    this.#put('pods', uid, next && { value: next.pod, audience: nodeAudience(next.node) });
  }

  #countPod(placed: PlacedPod, by: 1 | -1): void {
    const scope = this.#scopeOf(placed.node);
    scope.change(this.#version, audiencesOfPod(placed), by);
    scope.changeIdentity(identityOfPod(placed, this.#trustDomain), by);
  }

  #settle(uid: string, next: Workload | undefined): void {
    const old = this.#workloads.get(uid);
    if (next !== undefined) this.#countWorkload(next, 1);
    if (old !== undefined) this.#countWorkload(old, -1);
    if (next === undefined) this.#workloads.delete(uid);
    else this.#workloads.set(uid, next);
    const value = next && withoutPolicies(next);
    const own = next === value ? undefined : next;
    this.#put('workloads', uid, value && { value, own, node: next?.node, audience: EVERYBODY });
  }

  #countWorkload(workload: Workload, by: 1 | -1): void {
    if (workload.node === '') return;
    const audiences = audiencesOfWorkload(workload);
    if (audiences.length > 0) this.#scopeOf(workload.node).change(this.#version, audiences, by);
  }

  #scopeOf(node: string): NodeScope {
    const scope = this.#scopes.get(node) ?? new NodeScope();
    this.#scopes.set(node, scope);
    return scope;
  }

  #put(kind: Kind, key: string, content: ItemContent | undefined): void {
    const id = `${kind} ${key}`;
    const old = this.#items.get(id);
    if (content === undefined && !old?.isLive) return;
    const audience = content?.audience ?? old?.audience ?? EVERYBODY;
    const item = new Item({ ...content, kind, key, audience, version: this.#version });
    if (old?.isLive === true) this.#unlist(old);
    this.#items.set(id, item);
    if (item.isLive) this.#enlist(item);
    this.#log.push({ item, before: old?.isLive === true ? old.audience : undefined });
  }

  #enlist(item: Item): void {
    if (item.audience === EVERYBODY) this.#common[item.kind].set(item);
    else addTo(this.#byAudience, item.audience, item);
    if (item.ownNode !== '') addTo(this.#ownByNode, item.ownNode, item);
  }

  #unlist(item: Item): void {
    if (item.audience === EVERYBODY) this.#common[item.kind].delete(item.key);
    else removeFrom(this.#byAudience, item.audience, item);
    if (item.ownNode !== '') removeFrom(this.#ownByNode, item.ownNode, item);
  }

  /** Forgets the oldest changes in large steps, so that this costs nothing per change. */
  #trim(): void {
    if (this.#log.length <= this.#longestLog) return;
    const gone = this.#log.splice(0, this.#log.length - Math.floor(this.#longestLog / 2));
    // A version is remembered whole or not at all.
    const floor = gone.at(-1)?.item.version ?? this.#floor;
    const rest = this.#log.findIndex(({ item }) => item.version > floor);
    gone.push(...this.#log.splice(0, rest < 0 ? this.#log.length : rest));
    this.#floor = floor;
    for (const { item } of gone) {
      if (!item.isLive && this.#items.get(item.id) === item) this.#items.delete(item.id);
    }
    for (const [node, scope] of this.#scopes) {
      if (scope.isEmpty && scope.lastVersion <= floor) this.#scopes.delete(node);
    }
  }
}

type ItemContent = Omit<ConstructorParameters<typeof Item>[0], 'kind' | 'key' | 'version'>;

const NO_CHANGE = { gained: new Set<Audience>(), lost: new Set<Audience>() };

function isVisible(audience: Audience, scope: NodeScope | undefined): boolean {
  return audience === EVERYBODY || (scope?.has(audience) ?? false);
}

function noneRemoved(): Record<Kind, string[]> {
  return { workloads: [], services: [], policies: [], pods: [] };
}

function addTo(sets: Map<string, Set<Item>>, key: string, item: Item): void {
  const set = sets.get(key) ?? new Set<Item>();
  sets.set(key, set.add(item));
}

function removeFrom(sets: Map<string, Set<Item>>, key: string, item: Item): void {
  const set = sets.get(key);
  set?.delete(item);
  if (set?.size === 0) sets.delete(key);
}

/**
 * Which pods should exist: pure, from what is declared, what exists, and what is ready.
 *
 * Every call is one step of a reconciler: it reads the whole state and may be called at any time,
 * any number of times. A pod never changes what it runs. A Deployment's pods are replaced as in
 * Kubernetes: a new one is up and ready before an old one is told to go, a quarter of them at a time,
 * so there are never fewer ready pods than replicas because of a rollout. No two pods of one name
 * exist at once: a name is free when its last pod is gone.
 */
import { equal } from '../model/equal.ts';
import type { NodeObject } from '../model/objects.ts';
import { keyOf } from '../model/objects.ts';
import { nodeFits } from './references.ts';
import type { DeploymentObject, PodTemplate } from './schemas/deployment.ts';
import type { DeclaredPod } from './schemas/kinds.ts';

export interface PlannedPod {
  readonly podUid: string;
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly owner: { readonly kind: 'Pod' | 'Deployment'; readonly name: string };
  readonly template: PodTemplate;
  readonly createdMs: number;
  /** Told to go; it exists until it is reported gone. */
  readonly leaving: boolean;
}

export interface Declarations {
  readonly pods: readonly DeclaredPod[];
  readonly deployments: readonly DeploymentObject[];
  readonly nodes: readonly NodeObject[];
}

export interface RolloutDeps {
  readonly isReady: (podUid: string) => boolean;
  readonly newUid: () => string;
  readonly nowMs: number;
}

export function planPods(
  existing: readonly PlannedPod[],
  declared: Declarations,
  deps: RolloutDeps,
): PlannedPod[] {
  const step = new Step(existing, declared, deps);
  for (const pod of declared.pods) step.keepPod(pod);
  for (const deployment of declared.deployments) step.keepDeployment(deployment);
  step.dismissUnowned();
  return step.pods();
}

class Step {
  readonly #pods = new Map<string, PlannedPod>();
  readonly #byName = new Map<string, PlannedPod>();
  readonly #byOwner = new Map<string, Set<string>>();
  readonly #wanted = new Set<string>();
  readonly #declaredNames: ReadonlySet<string>;
  readonly #load = new Map<string, number>();
  readonly #declared: Declarations;
  readonly #deps: RolloutDeps;

  constructor(existing: readonly PlannedPod[], declared: Declarations, deps: RolloutDeps) {
    this.#declared = declared;
    this.#deps = deps;
    this.#declaredNames = new Set(declared.pods.map(({ meta }) => keyOf(meta)));
    const nodes = new Set(declared.nodes.map(({ meta }) => meta.name));
    for (const pod of existing) {
      // A node that is gone takes its pods with it, and they are made again elsewhere.
      this.#put(nodes.has(pod.node) ? pod : { ...pod, leaving: true });
    }
  }

  pods(): PlannedPod[] {
    return [...this.#pods.values()];
  }

  keepPod(declared: DeclaredPod): void {
    const { meta, spec } = declared;
    const owner = { kind: 'Pod', name: meta.name } as const;
    const template = { labels: meta.labels, annotations: meta.annotations, spec };
    const existing = this.#byName.get(keyOf(meta));
    if (existing !== undefined) {
      if (existing.leaving) return;
      const isSame = existing.owner.kind === 'Pod' && equal(existing.template.spec, spec);
      // Labels may change while a pod runs; what it runs may not.
      if (isSame) this.#put({ ...existing, template });
      else this.#dismiss(existing);
      if (isSame) this.#wanted.add(existing.podUid);
      return;
    }
    this.#create(meta.namespace, meta.name, owner, template);
  }

  keepDeployment(deployment: DeploymentObject): void {
    const { replicas, template } = deployment;
    const members = this.#membersOf(deployment).filter((pod) => !pod.leaving);
    const current = members.filter((pod) => equal(pod.template, template));
    const old = members.filter((pod) => !current.includes(pod));
    for (const pod of members) this.#wanted.add(pod.podUid);
    if (deployment.strategy === 'Recreate') {
      for (const pod of old) this.#dismiss(pod);
      if (old.length > 0 || this.#hasLeavers(deployment)) return;
    }
    const surge = old.length > 0 ? Math.max(1, Math.ceil(replicas / 4)) : 0;
    const missing = Math.min(
      replicas - current.length,
      replicas + surge - current.length - old.length,
    );
    for (let n = 0; n < missing; n += 1) this.#addReplica(deployment);
    this.#retire(old, current, replicas);
  }

  dismissUnowned(): void {
    for (const pod of this.#pods.values()) {
      if (!this.#wanted.has(pod.podUid)) this.#dismiss(pod);
    }
  }

  /** Lets go of old pods while enough ready ones stay, then of current ones that are too many. */
  #retire(old: readonly PlannedPod[], current: readonly PlannedPod[], replicas: number): void {
    const isReady = (pod: PlannedPod): boolean => this.#deps.isReady(pod.podUid);
    let total = old.length + current.length;
    let ready = [...old, ...current].filter(isReady).length;
    for (const pod of [...old].toSorted((a, b) => Number(isReady(a)) - Number(isReady(b)))) {
      if (total <= replicas || (isReady(pod) && ready - 1 < replicas)) break;
      this.#dismiss(pod);
      total -= 1;
      if (isReady(pod)) ready -= 1;
    }
    if (old.length > 0 && replicas > 0) return;
    const surplus = current
      .toSorted((a, b) => Number(isReady(a)) - Number(isReady(b)) || (a.name < b.name ? 1 : -1))
      .slice(0, Math.max(0, current.length - replicas));
    for (const pod of surplus) this.#dismiss(pod);
  }

  #addReplica(deployment: DeploymentObject): void {
    const { meta, template } = deployment;
    let n = 0;
    const isTaken = (key: string): boolean => this.#byName.has(key) || this.#declaredNames.has(key);
    while (isTaken(`${meta.namespace}/${meta.name}-${n}`)) n += 1;
    const owner = { kind: 'Deployment', name: meta.name } as const;
    this.#create(meta.namespace, `${meta.name}-${n}`, owner, template);
  }

  #create(
    namespace: string,
    name: string,
    owner: PlannedPod['owner'],
    template: PodTemplate,
  ): void {
    const node = this.#chooseNode(`${namespace}/${owner.name}`, template);
    if (node === undefined) return;
    const podUid = this.#deps.newUid();
    this.#wanted.add(podUid);
    const createdMs = this.#deps.nowMs;
    this.#put({ podUid, namespace, name, node, owner, template, createdMs, leaving: false });
  }

  /** Spreads an owner's pods over the nodes first, then all pods, then goes by name. */
  #chooseNode(owner: string, { spec }: PodTemplate): string | undefined {
    let best: { name: string; siblings: number; load: number } | undefined;
    for (const { meta } of this.#declared.nodes) {
      const { name } = meta;
      const isFit =
        spec.nodeName === '' ? nodeFits(meta.labels, spec, name) : spec.nodeName === name;
      if (!isFit) continue;
      const siblings = this.#load.get(`${name} ${owner}`) ?? 0;
      const load = this.#load.get(name) ?? 0;
      const order = best && (siblings - best.siblings || load - best.load);
      if (best === undefined || (order ?? 0) < 0 || (order === 0 && name < best.name)) {
        best = { name, siblings, load };
      }
    }
    return best?.name;
  }

  #hasLeavers(deployment: DeploymentObject): boolean {
    return this.#membersOf(deployment).some((pod) => pod.leaving);
  }

  #membersOf(deployment: DeploymentObject): PlannedPod[] {
    const uids = this.#byOwner.get(ownerKey(deployment.meta)) ?? [];
    return [...uids].map((uid) => this.#pods.get(uid)).filter((pod) => pod !== undefined);
  }

  #dismiss(pod: PlannedPod): void {
    if (!pod.leaving) this.#put({ ...pod, leaving: true });
  }

  #put(pod: PlannedPod): void {
    const old = this.#pods.get(pod.podUid);
    if (old?.leaving === false) this.#count(old, -1);
    if (!pod.leaving) this.#count(pod, 1);
    this.#pods.set(pod.podUid, pod);
    this.#byName.set(`${pod.namespace}/${pod.name}`, pod);
    if (pod.owner.kind !== 'Deployment') return;
    const owner = ownerKey({ namespace: pod.namespace, name: pod.owner.name });
    this.#byOwner.set(owner, (this.#byOwner.get(owner) ?? new Set()).add(pod.podUid));
  }

  #count(pod: PlannedPod, by: number): void {
    const owner = `${pod.node} ${pod.namespace}/${pod.owner.name}`;
    for (const key of [pod.node, owner]) this.#load.set(key, (this.#load.get(key) ?? 0) + by);
  }
}

function ownerKey(meta: { readonly namespace: string; readonly name: string }): string {
  return `${meta.namespace}/${meta.name}`;
}

/**
 * A Kubernetes API server as the source of the mesh.
 *
 * The first state is handed over whole, once every kind that is served has been listed; from then on
 * differences, gathered for a moment so that what happened together arrives together. While the server
 * is away the last state stays. Kinds of CRDs come and go while it runs: discovery looks for them.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '#common/log.ts';
import type { ObjectChange } from '../model/diff.ts';
import { keyOf, type MeshKind, type MeshObject } from '../model/objects.ts';
import type { ApiClient } from './api-client.ts';
import { BUILT_IN, CUSTOM, readBuiltIn, readCustom, type Judged } from './cluster-kinds.ts';
import { discover, kindOf, ServedKinds, type ServedKind } from './discovery.ts';
import { Interner } from './intern.ts';
import { Judgements, type Judgement, type OnJudged } from './judgements.ts';
import type { Change, Reading } from './reflection.ts';
import { Reflector } from './reflector.ts';
import type { Resource } from './resource.ts';
import { formatPath } from './schema.ts';
import type { ObjectSource, OnChanges } from './source.ts';
import { switchComplaints } from './switches.ts';
import { Union } from './union.ts';

export interface KubernetesSourceDeps {
  readonly client: ApiClient;
  readonly log: Logger;
  readonly onChanges: OnChanges;
  /** What to say to the author of an object; see judgements.ts. */
  readonly onJudged?: OnJudged;
  readonly silenceMs?: number;
  readonly discoverMs?: number;
}

/** For metrics: how one kind is doing. */
export interface KindHealth {
  readonly resource: Resource;
  readonly isSynced: boolean;
  readonly objects: number;
  readonly relists: number;
  readonly restarts: number;
  readonly lagSeconds: number;
}

/** Changes are gathered this long: a Deployment's pods and slices come by two watches. */
const GATHER_MS = 20;
const DISCOVER_MS = 10_000;
/** Mistakes that are remembered as said. */
const MOST_WARNED = 1000;

interface Following {
  readonly kind: MeshKind;
  readonly resource: Resource;
  readonly read: (raw: unknown) => Judged;
  /** What a change of one object is to the model. */
  readonly apply: (change: Change) => ObjectChange[];
  readonly isCustom: boolean;
}

export class KubernetesSource implements ObjectSource {
  readonly #deps: KubernetesSourceDeps;
  readonly #stopped = new AbortController();
  readonly #interner = new Interner();
  readonly #judgements: Judgements;
  readonly #served = new ServedKinds();
  readonly #unions = new Map<MeshKind, Union>();
  readonly #reflectors = new Map<string, Reflector>();
  readonly #first = Promise.withResolvers<void>();
  readonly #warned = new Set<string>();
  #pending = new Map<string, ObjectChange>();
  #gathering: NodeJS.Timeout | undefined;
  #discovering: Promise<void> | undefined;
  #isDiscovered = false;
  #isHandedOver = false;

  constructor(deps: KubernetesSourceDeps) {
    this.#deps = deps;
    this.#judgements = new Judgements((judgement, isGone) => this.#judged(judgement, isGone));
    for (const { kind } of CUSTOM) {
      const groups = CUSTOM.filter((one) => one.kind === kind).map(({ group }) => group);
      this.#unions.set(kind, new Union(kind, groups));
    }
  }

  /** Waits for as long as it takes: without an API server there is no state to serve. */
  async start(): Promise<void> {
    for (const one of BUILT_IN) {
      const apply = (change: Change): ObjectChange[] => [modelChange(one.kind, change)];
      const read = (raw: unknown): Judged => readBuiltIn(one, raw);
      const { kind, resource } = one;
      this.#follow(kind, { kind, resource, read, apply, isCustom: false });
    }
    this.#discovering = this.#discover();
    await this.#first.promise;
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#discovering;
    await Promise.all([...this.#reflectors.values()].map(async (one) => one.stop()));
    clearTimeout(this.#gathering);
    this.#first.resolve();
  }

  /** Whether the first state has been handed over. */
  get isSynced(): boolean {
    return this.#isHandedOver;
  }

  /** Objects of CRDs, and whatever else could not be read. */
  judgements(): Judgement[] {
    return this.#judgements.all();
  }

  health(): KindHealth[] {
    return [...this.#reflectors.values()].map((one) => ({
      resource: one.resource,
      isSynced: one.isSynced,
      objects: one.objects,
      relists: one.relists,
      restarts: one.restarts,
      lagSeconds: one.lagSeconds,
    }));
  }

  async #discover(): Promise<void> {
    const { client, log, discoverMs = DISCOVER_MS } = this.#deps;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        const step = this.#served.update(await discover(client, CUSTOM, signal));
        for (const one of step.ended) await this.#end(one);
        for (const one of step.moved) this.#move(one);
        for (const one of step.begun) this.#begin(one);
        this.#isDiscovered = true;
        this.#considerFirst();
      } catch (error) {
        if (!signal.aborted) log.warn('kinds of CRDs cannot be looked for', { error });
      }
      // Apart from other replicas, and soon again as long as nothing can be served without it.
      const waitMs =
        (this.#isDiscovered ? discoverMs : discoverMs / 10) * (0.8 + Math.random() / 5);
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #begin(one: ServedKind): void {
    const { custom, resource } = one;
    const { kind, group } = custom;
    this.#deps.log.info('kind is served', { kind, group, version: resource.version });
    const apply = (change: Change): ObjectChange[] =>
      this.#unions.get(kind)?.apply(group, change) ?? [];
    const read = (raw: unknown): Judged => readCustom(kind, raw);
    this.#follow(kindOf(one), { kind, resource, read, apply, isCustom: true });
  }

  #move(one: ServedKind): void {
    const { custom, resource } = one;
    const { kind, group } = custom;
    this.#deps.log.info('kind is read anew', { kind, group, version: resource.version });
    this.#reflectors.get(kindOf(one))?.moveTo(resource);
  }

  async #end(one: ServedKind): Promise<void> {
    const { kind, group } = one.custom;
    this.#deps.log.info('kind is not served any more', { kind, group });
    const reflector = this.#reflectors.get(kindOf(one));
    this.#reflectors.delete(kindOf(one));
    await reflector?.stop();
    reflector?.empty();
  }

  #follow(id: string, { kind, resource, read, apply, isCustom }: Following): void {
    const { client, log, silenceMs } = this.#deps;
    const reflector = new Reflector({
      client,
      resource,
      log,
      ...(silenceMs === undefined ? {} : { silenceMs }),
      read: (raw): Reading => {
        const judged = read(raw);
        this.#judgements.note(kind, reflector.resource, judged, isCustom);
        if (judged.object === undefined) return { key: judged.key, object: undefined };
        this.#warnOfSwitches(judged.object);
        return { key: judged.key, object: this.#interner.object(judged.object) };
      },
      forget: (key) => this.#judgements.forget(reflector.resource, key),
      onChanges: (changes) => {
        for (const change of changes.flatMap(apply)) this.#pending.set(changeKey(change), change);
        if (this.#isHandedOver) this.#gathering ??= setTimeout(() => this.#handOver(), GATHER_MS);
      },
      onSynced: () => this.#considerFirst(),
    });
    this.#reflectors.set(id, reflector);
    reflector.start();
  }

  #considerFirst(): void {
    if (this.#isHandedOver || !this.#isDiscovered) return;
    if ([...this.#reflectors.values()].some(({ isSynced }) => !isSynced)) return;
    this.#isHandedOver = true;
    // Apart from the list that was the last one: a fault in the model is none of the API server.
    setImmediate(() => {
      const objects = this.#pending.size;
      this.#handOver();
      this.#deps.log.info('cluster read', { objects, kinds: this.#reflectors.size });
      this.#first.resolve();
    });
  }

  #handOver(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    if (this.#stopped.signal.aborted) return;
    const changes = [...this.#pending.values()];
    this.#pending = new Map();
    if (changes.length > 0) this.#deps.onChanges(changes);
  }

  /** Once for all objects of a namespace that share a mistake. */
  #warnOfSwitches({ kind, meta }: MeshObject): void {
    for (const { path, message } of switchComplaints(meta)) {
      const mistake = `${kind} ${meta.namespace} ${message}`;
      if (this.#warned.has(mistake)) continue;
      if (this.#warned.size >= MOST_WARNED) this.#warned.clear();
      this.#warned.add(mistake);
      const field = formatPath(['metadata', ...path]);
      const object = `${kind} ${keyOf(meta)}`;
      this.#deps.log.warn('label or annotation means nothing', { object, field, warning: message });
    }
  }

  #judged(judgement: Judgement, isGone: boolean): void {
    const { kind, key, complaints, isReplaced } = judgement;
    const [first] = complaints;
    if (first !== undefined && !isGone) {
      this.#deps.log.warn('object cannot be read', {
        object: `${kind} ${key}`,
        ...first,
        more: complaints.length - 1,
        instead: isReplaced ? 'the strictest policy it could be' : 'nothing',
      });
    }
    this.#deps.onJudged?.(judgement, isGone);
  }
}

function modelChange(kind: MeshKind, change: Change): ObjectChange {
  if (change.type === 'set') return { type: 'set', object: change.object };
  const { namespace, name } = change.object.meta;
  return { type: 'delete', kind, namespace, name };
}

/** The last change of an object is the one that counts. */
function changeKey(change: ObjectChange): string {
  return change.type === 'set'
    ? `${change.object.kind} ${keyOf(change.object.meta)}`
    : `${change.kind} ${keyOf(change)}`;
}

/**
 * Finds the network namespaces of the pods of a real node, where the runtime pins them under names of
 * its own: by what the CNI plugin was told of new pods, and by the addresses inside for the others.
 *
 * All is looked at again and again, not reacted to, so lost events do no harm. What is held of a pod
 * is decided in match.ts, for all pods of the node at once.
 */
import { type FSWatcher, watch } from 'node:fs';
import { basename } from 'node:path';
import type { Logger } from '#common/log.ts';
import { closeNetns } from '#common/sys/netns.ts';
import { readAddresses } from './addresses.ts';
import { type MatchPod, matchPods } from './match.ts';
import type { PodNamespaces, PodNetns } from './namespaces.ts';
import { PinDirectory } from './pins.ts';
import { namespacesOfProcesses } from './processes.ts';

export interface NodeNamespacesDeps {
  /** Where the runtime pins namespaces. */
  readonly path: string;
  /** All pods of this node that have addresses, the node's own excepted. */
  readonly pods: () => readonly MatchPod[];
  readonly log: Logger;
  /** Where processes are looked at when no pin is a pod's; undefined: nowhere. */
  readonly procDir?: string | undefined;
  /** The node's own namespace; the agent's when left out. */
  readonly nodePath?: string;
}

/** The mount on a file is no event of its directory, so the directory is looked at as well. */
const LOOK_EVERY_MS = 1000;
/** All processes of a node are some milliseconds of work. */
const PROCESSES_EVERY_MS = 2000;
/** Many pods that are looked for at once share one look. */
const FRESH_MS = 50;

interface SeenPin {
  readonly name: string;
  readonly identity: string;
  readonly key: string;
  addresses: readonly string[];
}

export class NodeNamespaces implements PodNamespaces {
  readonly #deps: NodeNamespacesDeps;
  readonly #directory: PinDirectory;
  readonly #pins = new Map<string, SeenPin>();
  readonly #told = new Map<string, string>();
  readonly #lost = new Map<string, readonly string[]>();
  /** Namespaces found by processes: the pod of each, by path. */
  #ofProcesses = new Map<string, string>();
  #processesAt = -Infinity;
  #matched = new Map<string, string>();
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lookedAt = -Infinity;
  #seen = '';
  #onChange: (pods: ReadonlyMap<string, string>) => void = () => {};

  constructor(deps: NodeNamespacesDeps) {
    this.#deps = deps;
    this.#directory = new PinDirectory(deps.path, deps.nodePath);
  }

  /**
   * The runtime has made this namespace for this pod. Its path may have another prefix where the
   * runtime is; the name is the same. False when there is no such pin here.
   */
  told(podUid: string, path: string): boolean {
    const name = basename(path);
    const identity = this.#directory.identityOf(name);
    if (identity === undefined) return false;
    const key = keyOf(name, identity);
    if (this.#told.get(podUid) === key) return true;
    for (const [other, of] of this.#told) if (of === key) this.#told.delete(other);
    this.#told.set(podUid, key);
    this.#look();
    return true;
  }

  /** Whether the runtime has spoken of the pod, and its namespace is still there. */
  isTold(podUid: string): boolean {
    return this.#pins.has(this.#told.get(podUid) ?? '');
  }

  open(podUid: string): PodNetns | undefined {
    this.#refresh();
    const pin = this.#pins.get(this.#matched.get(podUid) ?? '');
    const opened = pin && this.#directory.open(pin.name);
    if (pin === undefined || opened === undefined) return undefined;
    const { fd, identity } = opened;
    if (identity !== pin.identity) {
      closeNetns(fd);
      return undefined;
    }
    try {
      return { podUid, fd, identity, addresses: readAddresses(fd) };
    } catch (error) {
      closeNetns(fd);
      throw error;
    }
  }

  list(): ReadonlyMap<string, string> {
    this.#refresh();
    const found = new Map<string, string>();
    for (const [podUid, key] of this.#matched) {
      const identity = this.#pins.get(key)?.identity;
      if (identity !== undefined) found.set(podUid, identity);
    }
    return found;
  }

  start(onChange: (pods: ReadonlyMap<string, string>) => void): void {
    this.#onChange = onChange;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
    this.#look();
  }

  stop(): void {
    this.#watcher?.close();
    clearInterval(this.#timer);
  }

  #refresh(): void {
    if (performance.now() - this.#lookedAt > FRESH_MS) this.#match();
  }

  #look(): void {
    this.#watch();
    this.#match();
    const pods = this.list();
    const seen = JSON.stringify([...pods].toSorted(([a], [b]) => (a < b ? -1 : 1)));
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#onChange(pods);
  }

  /** The directory is there from the first pod on, and may be another one after that. */
  #watch(): void {
    if (this.#watcher !== undefined || this.#timer === undefined) return;
    try {
      this.#watcher = watch(this.#deps.path, { persistent: false }, () => this.#look());
    } catch {
      return; // Not there yet; the timer goes on looking.
    }
    this.#watcher.on('error', () => {
      this.#watcher?.close();
      this.#watcher = undefined;
    });
  }

  #match(): void {
    this.#lookedAt = performance.now();
    this.#readPins();
    const pods = this.#deps.pods();
    this.#lookAtProcesses(pods);
    this.#forget(pods);
    this.#readInside();
    const byUid = new Map(pods.map((pod) => [pod.podUid, pod]));
    const before = this.#matched;
    // First: its address may be another's already, in a namespace that was not there a moment ago.
    this.#noteLost(byUid, (podUid) => this.#pins.has(before.get(podUid) ?? ''));
    this.#matched = matchPods([...this.#pins.values()], pods, {
      told: this.#told,
      before,
      lost: this.#lost,
    });
    this.#noteLost(byUid, (podUid) => this.#matched.has(podUid), before);
    for (const podUid of this.#matched.keys()) this.#lost.delete(podUid);
  }

  /** A pod that has addresses and no namespace may be one of a runtime that pins none. */
  #lookAtProcesses(pods: readonly MatchPod[]): void {
    const { procDir } = this.#deps;
    const now = performance.now();
    if (procDir === undefined || now - this.#processesAt < PROCESSES_EVERY_MS) return;
    const isFound = ({ podUid }: MatchPod): boolean =>
      this.#pins.has(this.#matched.get(podUid) ?? '');
    if (pods.every((pod) => isFound(pod) || pod.addresses.length === 0)) return;
    this.#processesAt = now;
    this.#ofProcesses = namespacesOfProcesses(procDir);
    this.#readPins();
    const known = new Set(pods.map(({ podUid }) => podUid));
    for (const { name, key } of this.#pins.values()) {
      const podUid = this.#ofProcesses.get(name) ?? '';
      if (known.has(podUid) && !this.isTold(podUid)) this.#told.set(podUid, key);
    }
  }

  /** Of the pods that had a namespace, those that have it no more. */
  #noteLost(
    pods: ReadonlyMap<string, MatchPod>,
    hasStill: (podUid: string) => boolean,
    before = this.#matched,
  ): void {
    for (const podUid of before.keys()) {
      const pod = pods.get(podUid);
      if (pod !== undefined && !hasStill(podUid)) this.#lost.set(podUid, pod.addresses);
    }
  }

  #readPins(): void {
    const names = this.#directory.list();
    const seen = new Set(names.values());
    for (const path of this.#ofProcesses.keys()) {
      const identity = this.#directory.identityOf(path);
      if (identity === undefined || identity === this.#directory.node || seen.has(identity))
        continue;
      seen.add(identity);
      names.set(path, identity);
    }
    for (const [key, { name, identity }] of this.#pins) {
      if (names.get(name) !== identity) this.#pins.delete(key);
    }
    for (const [name, identity] of names) {
      const key = keyOf(name, identity);
      if (!this.#pins.has(key)) this.#pins.set(key, { name, identity, key, addresses: [] });
    }
  }

  /** Of pods and namespaces that are gone nothing is kept. */
  #forget(pods: readonly MatchPod[]): void {
    const there = new Set(pods.map(({ podUid }) => podUid));
    for (const podUid of this.#lost.keys()) if (!there.has(podUid)) this.#lost.delete(podUid);
    for (const [podUid, key] of this.#told) if (!this.#pins.has(key)) this.#told.delete(podUid);
    for (const [podUid, key] of this.#matched) {
      if (!there.has(podUid) && !this.#pins.has(key)) this.#matched.delete(podUid);
    }
  }

  /** Addresses come and go while a pod starts and ends; what is somebody's for certain is not read. */
  #readInside(): void {
    const settled = new Set([...this.#matched.values(), ...this.#told.values()]);
    for (const pin of this.#pins.values()) {
      if (settled.has(pin.key)) continue;
      const opened = this.#directory.open(pin.name);
      if (opened === undefined) continue;
      try {
        if (opened.identity === pin.identity) pin.addresses = readAddresses(opened.fd);
      } catch (error) {
        this.#deps.log.debug('namespace cannot be read', { name: pin.name, error });
      } finally {
        closeNetns(opened.fd);
      }
    }
  }
}

/** Of the processes of a pod one may end and another go on: the namespace is the same. */
function keyOf(name: string, identity: string): string {
  return name.startsWith('/') ? `of a process ${identity}` : `${name} ${identity}`;
}

/**
 * The pods of this node, each brought to what the mesh wants of it and kept there.
 *
 * Only what is wanted now counts, not what happened: a pod that is enrolled, changed and removed in
 * one moment is simply removed. Work on one pod never overlaps; pods do not wait for each other. A
 * step that fails is tried again with back-off until it succeeds or is no longer wanted.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '#common/backoff.ts';
import type { Logger } from '#common/log.ts';
import type { LocalPod } from '#common/mesh/workload.ts';

/** One pod's way in and out; each may be called again after it failed. */
export interface PodSteps {
  /** Finds its namespace, listens in it, captures it. */
  readonly join: (pod: LocalPod, signal: AbortSignal) => Promise<void>;
  /** Takes over other options or addresses of a pod that has joined. */
  readonly change: (pod: LocalPod) => Promise<void>;
  /** Lets it go; `gone` when the pod itself is no more. */
  readonly leave: (pod: LocalPod, gone: boolean) => Promise<void>;
  /** Frees a pod that is not to be captured of what an agent before this one may have left. */
  readonly clean: (pod: LocalPod) => Promise<void>;
}

export interface PodState {
  readonly podUid: string;
  readonly namespace: string;
  readonly name: string;
  readonly enrolled: boolean;
  readonly exemption: string;
  readonly joined: boolean;
  /** What the last attempt failed with; '' when it did not. */
  readonly problem: string;
}

interface Entry {
  pod: LocalPod;
  wanted: boolean;
  /** No longer among the pods of this node. */
  gone: boolean;
  /** As which a join was last begun: even one that failed may have to be undone. */
  begun: LocalPod | undefined;
  /** As which it has joined. */
  joined: LocalPod | undefined;
  /** Its namespace is another one now than the one in which it has joined. */
  hasMoved: boolean;
  problem: string;
  /** Nobody has looked yet whether an agent before this one has left it captured. */
  isUnchecked: boolean;
  running: Promise<void> | undefined;
  changed: AbortController;
}

const BACKOFF = { firstMs: 250, longestMs: 15_000 };

export class PodSet {
  readonly #entries = new Map<string, Entry>();
  readonly #steps: PodSteps;
  readonly #log: Logger;
  #isStopped = false;
  #isPaused = false;

  constructor(steps: PodSteps, log: Logger) {
    this.#steps = steps;
    this.#log = log;
  }

  /** Says which pods there are now, and how they should be; the rest happens by itself. */
  apply(pods: Iterable<LocalPod>): void {
    const seen = new Set<string>();
    for (const pod of pods) {
      seen.add(pod.podUid);
      this.#want(pod);
    }
    for (const [podUid, entry] of this.#entries) {
      if (seen.has(podUid) || entry.gone) continue;
      entry.gone = true;
      entry.wanted = false;
      this.#kick(podUid, entry);
    }
  }

  /** A pod's namespace has been replaced: it must join anew, in the new one. */
  moved(podUid: string): void {
    const entry = this.#entries.get(podUid);
    if (entry?.begun === undefined) return;
    entry.hasMoved = true;
    this.#kick(podUid, entry);
  }

  /** What the pod waits for may be there now: a step that failed is tried again at once. */
  lookAgain(podUid: string): void {
    const entry = this.#entries.get(podUid);
    if (entry !== undefined && entry.joined === undefined) this.#kick(podUid, entry);
  }

  /** What the last step of the pod failed with; '' when it did not. */
  problemOf(podUid: string): string {
    return this.#entries.get(podUid)?.problem ?? '';
  }

  /** Resolves when nothing is under way; what fails again and again never is. */
  async settled(): Promise<void> {
    for (;;) {
      const running = Array.from(this.#entries.values(), (entry) => entry.running).filter(
        (one) => one !== undefined,
      );
      if (running.length === 0) return;
      await Promise.all(running);
    }
  }

  /** The uids of the pods that are to be captured. */
  wanted(): ReadonlySet<string> {
    return new Set(Array.from(this.#entries).flatMap(([uid, { wanted }]) => (wanted ? [uid] : [])));
  }

  states(): PodState[] {
    return Array.from(this.#entries.values(), ({ pod, wanted, joined, problem }) => ({
      podUid: pod.podUid,
      namespace: pod.namespace,
      name: pod.name,
      enrolled: wanted,
      exemption: pod.exemption,
      joined: joined !== undefined,
      problem,
    }));
  }

  /** Begins no step until `resume`: somebody else may be about to take the pods over. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    for (const [podUid, entry] of this.#entries) if (!isRight(entry)) this.#kick(podUid, entry);
  }

  /** Starts nothing new; pods stay as they are, captured, for a successor or failing closed. */
  stop(): void {
    this.#isStopped = true;
    for (const entry of this.#entries.values()) entry.changed.abort();
  }

  #want(pod: LocalPod): void {
    const entry = this.#entries.get(pod.podUid);
    if (entry === undefined) {
      const made: Entry = {
        pod,
        wanted: pod.enrolled,
        gone: false,
        begun: undefined,
        joined: undefined,
        hasMoved: false,
        problem: '',
        isUnchecked: true,
        running: undefined,
        changed: new AbortController(),
      };
      this.#entries.set(pod.podUid, made);
      this.#kick(pod.podUid, made);
      return;
    }
    if (!entry.gone && sameWish(entry.pod, pod)) return;
    entry.pod = pod;
    entry.wanted = pod.enrolled;
    entry.gone = false;
    this.#kick(pod.podUid, entry);
  }

  #kick(podUid: string, entry: Entry): void {
    entry.changed.abort();
    entry.changed = new AbortController();
    entry.running ??= this.#run(podUid, entry).finally(() => (entry.running = undefined));
  }

  async #run(podUid: string, entry: Entry): Promise<void> {
    let failures = 0;
    while (!this.#isStopped && !this.#isPaused && !isRight(entry)) {
      const { signal } = entry.changed;
      const { pod, wanted, gone } = entry;
      try {
        await this.#step(entry, signal);
        failures = 0;
        entry.problem = '';
      } catch (error) {
        if (signal.aborted) continue;
        // A pod that is gone has taken its namespace with it; there is nothing left to undo.
        if (gone) forget(entry);
        failures += 1;
        entry.problem = error instanceof Error ? error.message : String(error);
        const waitMs = backoffMs(failures, BACKOFF, Math.random());
        this.#log.warn(wanted ? 'pod cannot join yet' : 'pod cannot be released yet', {
          pod: `${pod.namespace}/${pod.name}`,
          failures,
          waitMs: Math.round(waitMs),
          error,
        });
        await delay(waitMs, undefined, { signal }).catch(() => {});
      }
    }
    if (entry.gone && isRight(entry) && this.#entries.get(podUid) === entry) {
      this.#entries.delete(podUid);
    }
  }

  async #step(entry: Entry, signal: AbortSignal): Promise<void> {
    const { pod, wanted, gone } = entry;
    const joined = entry.hasMoved ? undefined : entry.joined;
    entry.hasMoved = false;
    if (!wanted) {
      if (entry.begun !== undefined) await this.#steps.leave(entry.begun, gone);
      else if (!gone) await this.#clean(pod);
      forget(entry);
    } else {
      entry.begun = pod;
      if (joined === undefined) entry.joined = undefined;
      await (joined === undefined ? this.#steps.join(pod, signal) : this.#steps.change(pod));
      entry.joined = pod;
    }
    entry.isUnchecked = false;
  }

  /** Tried once: most pods that are not enrolled never were, and need nothing from us. */
  async #clean(pod: LocalPod): Promise<void> {
    try {
      await this.#steps.clean(pod);
    } catch (error) {
      const name = `${pod.namespace}/${pod.name}`;
      this.#log.warn('pod not searched for rules of ours', { pod: name, error });
    }
  }
}

function isRight({ wanted, gone, begun, joined, hasMoved, pod, isUnchecked }: Entry): boolean {
  if (wanted) return joined === pod && !hasMoved;
  return begun === undefined && (gone || !isUnchecked);
}

function forget(entry: Entry): void {
  entry.begun = undefined;
  entry.joined = undefined;
}

/** Whether two descriptions of one pod ask for the same. */
function sameWish(a: LocalPod, b: LocalPod): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

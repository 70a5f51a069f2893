/**
 * All captured pods of this node: enrols and releases them, watches them, repairs and proves them.
 *
 * Every half a second each pod is asked, for microseconds, whether anything changed; only then are
 * its rules read. A repair that does not hold is tried again, at growing intervals, for as long as the
 * pod is here. What a pod's state says is what was proven last, not what was written.
 */
import { MeshError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { closeNetns, openNetns } from '#common/sys/netns.ts';
import type { Flavour, Programs } from './backend.ts';
import { Capture, type Enrolment } from './capture.ts';
import type { Command } from './command.ts';
import type { Drift } from './compare.ts';
import type { HostRules } from './host-rules.ts';
import {
  type CapturePod,
  FIRST_PROVE_AGAIN_MS,
  FIRST_RETRY_MS,
  contestedBy,
  forgetProof,
  newEntry,
  noteRepair,
  type PodCaptureState,
  type PodEntry,
  recordProof,
  recordVerdict,
  stateOf,
} from './pod-capture.ts';
import { type ProofResult, type Prover, summarize } from './proof.ts';
import { readFamilies } from './routing.ts';
import { CaptureWatch, watchedTables } from './watch.ts';

export interface CaptureSetDeps {
  readonly command: Command;
  readonly programs: Programs;
  readonly log: Logger;
  readonly prover: Prover;
  readonly hostRules?: Pick<HostRules, 'set' | 'remove' | 'repair'>;
  /** Whether it is this agent that repairs: two that differ would undo each other's work. */
  readonly mayRepair?: () => boolean;
  /** Told after every proof, and when a pod's phase changes. */
  readonly onState?: (state: PodCaptureState) => void;
  readonly onDrift?: (podUid: string, drifts: readonly Drift[]) => void;
}

/** Three looks see everything (watch.ts); with the repair that must come to less than two seconds. */
export const LOOK_EVERY_MS = 550;
export const PROVE_EVERY_MS = 30_000;
/** Even a pod in which nothing seems to change is read this often. */
export const READ_EVERY_MS = 300_000;
export const HOST_RULES_EVERY_MS = 30_000;
const LAST_RETRY_MS = 30_000;

export class CaptureSet {
  readonly #deps: CaptureSetDeps;
  readonly #pods = new Map<string, PodEntry>();
  readonly #ending = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #hostAt = 0;
  /** Since the agent started; for the metrics. */
  readonly counters = {
    enrolments: 0,
    enrolmentFailures: 0,
    releases: 0,
    repairs: 0,
    repairFailures: 0,
    probes: 0,
    probeFailures: 0,
    existingConnections: 0,
    cutConnections: 0,
  };

  constructor(deps: CaptureSetDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  /** Looks no more until `start`: somebody else may be about to take the pods over. */
  pause(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Stops watching. The rules stay: a pod whose agent is gone must not talk in clear. */
  stop(): void {
    this.pause();
    for (const podUid of this.#pods.keys()) this.forget(podUid);
  }

  /** Captures a pod and begins to prove it. Again for the same pod, it takes over its new options. */
  async enrol(pod: CapturePod, openListeners: () => void | Promise<void>): Promise<Enrolment> {
    const entry = this.#entryFor(pod);
    entry.pod = { ...pod, netns: entry.pod.netns };
    entry.isBusy = true;
    try {
      // Before the rules: a probe of the node must not be taken for a stranger in between.
      await this.#deps.hostRules?.set(pod.podUid, pod.addresses);
      await entry.capture.update(pod.options);
      const enrolment = await entry.capture.enrol(openListeners, (flavour) =>
        this.#watch(entry, flavour),
      );
      entry.enrolment = enrolment;
      // What was right already was read before it was watched: it is read again.
      entry.readAt = enrolment.changed ? performance.now() + READ_EVERY_MS : 0;
      entry.proveAt = 0;
      entry.proveAgainMs = FIRST_PROVE_AGAIN_MS;
      entry.retryMs = FIRST_RETRY_MS;
      this.counters.enrolments += 1;
      this.counters.existingConnections += enrolment.existing;
      this.counters.cutConnections += enrolment.cut;
      this.#enter(entry, 'captured');
      this.#deps.log.info('pod captured', { ...nameOf(pod), ...enrolment });
      this.#prove(entry);
      return enrolment;
    } catch (error) {
      this.counters.enrolmentFailures += 1;
      const reason = error instanceof Error ? error.message : String(error);
      recordVerdict(entry, { captured: false, reason });
      this.#enter(entry, 'failed');
      throw error;
    } finally {
      entry.isBusy = false;
    }
  }

  /** Takes over new exclusions or addresses of a pod that is captured. */
  async update(pod: CapturePod): Promise<void> {
    const entry = this.#pods.get(pod.podUid);
    if (entry === undefined) throw unknownPod(pod.podUid);
    entry.pod = { ...pod, netns: entry.pod.netns };
    await this.#deps.hostRules?.set(pod.podUid, pod.addresses);
    await entry.capture.update(pod.options);
    if (entry.enrolment !== undefined) this.#watch(entry, entry.enrolment.flavour);
    entry.readAt = 0;
  }

  /** Lets a running pod go; captured connections last until `drain` ends. */
  async release(podUid: string, drain: () => Promise<void>): Promise<void> {
    const entry = this.#pods.get(podUid);
    if (entry === undefined) throw unknownPod(podUid);
    this.#enter(entry, 'releasing');
    await entry.capture.release(async () => {
      await this.#deps.hostRules?.remove(podUid);
      await drain();
    });
    // Meanwhile the pod may have ended, or been enrolled again.
    if (entry.phase !== 'releasing' || this.#pods.get(podUid) !== entry) return;
    this.counters.releases += 1;
    this.#deps.log.info('pod released', nameOf(entry.pod));
    this.forget(podUid);
  }

  /** Takes away what another agent left in a pod that is not to be captured; says if there was any. */
  async clean(pod: CapturePod): Promise<boolean> {
    if (this.#pods.has(pod.podUid)) return false;
    const { command, programs, log } = this.#deps;
    const capture = new Capture({ command, programs, log, netns: pod.netns }, pod.options);
    if (!(await capture.isLoaded())) return false;
    await capture.release(async () => {});
    log.warn('pod freed of the rules that an agent had left', nameOf(pod));
    return true;
  }

  /** Drops a pod that is gone, with its namespace; no further step is begun in there. */
  forget(podUid: string): void {
    const entry = this.#pods.get(podUid);
    if (entry === undefined) return;
    this.#pods.delete(podUid);
    entry.watch?.close();
    entry.watch = undefined;
    const end = this.#end(entry).finally(() => this.#ending.delete(end));
    this.#ending.add(end);
  }

  /** Resolves when no step is under way any more in the pods that were dropped. */
  async ended(): Promise<void> {
    await Promise.allSettled(this.#ending);
  }

  async #end({ pod, capture, proving }: PodEntry): Promise<void> {
    await capture.close();
    await proving;
    closeNetns(pod.netns);
  }

  states(): readonly PodCaptureState[] {
    return Array.from(this.#pods.values(), stateOf);
  }

  state(podUid: string): PodCaptureState | undefined {
    const entry = this.#pods.get(podUid);
    return entry === undefined ? undefined : stateOf(entry);
  }

  /** How many pods were proven captured by their last probes. */
  get proven(): number {
    let count = 0;
    for (const { proven } of this.#pods.values()) if (proven === true) count += 1;
    return count;
  }

  #entryFor(pod: CapturePod): PodEntry {
    const found = this.#pods.get(pod.podUid);
    if (found !== undefined) return found;
    const { command, programs } = this.#deps;
    const log = this.#deps.log.with(nameOf(pod));
    // The number of the caller's descriptor may mean another pod by the time of a late step.
    const netns = openNetns(`/proc/self/fd/${pod.netns}`);
    const capture = new Capture({ command, programs, log, netns }, pod.options);
    const entry = newEntry({ ...pod, netns }, capture);
    this.#pods.set(pod.podUid, entry);
    return entry;
  }

  #watch(entry: PodEntry, flavour: Flavour): void {
    entry.watch?.close();
    entry.watch = undefined;
    const { netns, options } = entry.pod;
    if (this.#pods.get(entry.pod.podUid) !== entry) return; // Forgotten meanwhile.
    const { families } = readFamilies(netns);
    entry.watch = new CaptureWatch({ netns, flavour, families, tables: watchedTables(options) });
  }

  #enter(entry: PodEntry, phase: PodCaptureState['phase']): void {
    entry.phase = phase;
    this.#deps.onState?.(stateOf(entry));
  }

  /** One turn of the watch: cheap questions to all, and work for those that need it. */
  #look(): void {
    const now = performance.now();
    for (const entry of this.#pods.values()) {
      if (entry.phase !== 'captured' || entry.isBusy) continue;
      if (this.#hasChanged(entry) || now >= entry.readAt) void this.#repair(entry);
      if (now >= entry.proveAt) this.#prove(entry);
    }
    if (now >= this.#hostAt) void this.#repairHost(now);
  }

  #hasChanged(entry: PodEntry): boolean {
    try {
      return entry.watch?.changed() ?? false;
    } catch {
      return true; // What cannot be watched is read.
    }
  }

  async #repair(entry: PodEntry): Promise<void> {
    if (this.#deps.mayRepair?.() === false) return;
    entry.isBusy = true;
    const { podUid } = entry.pod;
    try {
      const drifts = await entry.capture.repair(() => entry.watch?.catchUp());
      entry.retryMs = FIRST_RETRY_MS;
      entry.readAt = performance.now() + READ_EVERY_MS;
      if (drifts.length === 0) return;
      noteRepair(entry, performance.now());
      this.counters.repairs += 1;
      this.#deps.log.warn('capture repaired', { ...nameOf(entry.pod), drifts });
      this.#deps.onDrift?.(podUid, drifts);
      this.#doubt(entry);
      entry.proveAt = 0;
    } catch (error) {
      if (!this.#isCaptured(entry)) return;
      this.counters.repairFailures += 1;
      entry.readAt = performance.now() + entry.retryMs;
      entry.retryMs = Math.min(2 * entry.retryMs, LAST_RETRY_MS);
      entry.proveAt = 0;
      this.#deps.log.error('capture not repaired', { ...nameOf(entry.pod), error });
    } finally {
      entry.isBusy = false;
    }
  }

  /** What was proven before a repair counts no more; a pod whose rules do not stay is not proven. */
  #doubt(entry: PodEntry): void {
    const reason = contestedBy(entry.repairedAt, performance.now());
    if (reason === '') forgetProof(entry);
    else if (recordVerdict(entry, { captured: false, reason })) this.#tellVerdict(entry);
    this.#deps.onState?.(stateOf(entry));
  }

  #tellVerdict({ pod, proven, reason }: PodEntry): void {
    if (proven === true) this.#deps.log.info('pod proven captured', nameOf(pod));
    else this.#deps.log.error('pod not captured', { ...nameOf(pod), code: 'PROOF_FAILED', reason });
  }

  #prove(entry: PodEntry): void {
    entry.proveAt = performance.now() + PROVE_EVERY_MS;
    entry.proving ??= this.#proveOnce(entry).finally(() => {
      entry.proving = undefined;
    });
  }

  /** A probe that fails has the rules read at once, and is made again before it counts. */
  async #proveOnce(entry: PodEntry): Promise<void> {
    try {
      let results = await this.#probe(entry);
      if (!summarize(results).captured && this.#isCaptured(entry)) {
        await this.#repair(entry);
        results = await this.#probe(entry);
      }
      if (!this.#isCaptured(entry)) return;
      // Another agent accepts here too, and may have taken a probe that it knows nothing of.
      if (!summarize(results).captured && this.#deps.mayRepair?.() === false) return;
      this.#takeProof(entry, results);
    } catch (error) {
      this.#deps.log.error('pod not probed', { ...nameOf(entry.pod), error });
    } finally {
      this.#proveNext(entry);
    }
  }

  /** What is proven stays so for a while; what is not may come right at any moment. */
  #proveNext(entry: PodEntry): void {
    if (contestedBy(entry.repairedAt, performance.now()) !== '') {
      entry.proveAgainMs = FIRST_PROVE_AGAIN_MS; // It comes right without a sign, by time alone.
    }
    const waitMs = entry.proven === true ? PROVE_EVERY_MS : entry.proveAgainMs;
    entry.proveAgainMs =
      entry.proven === true ? FIRST_PROVE_AGAIN_MS : Math.min(2 * waitMs, PROVE_EVERY_MS);
    entry.proveAt = performance.now() + waitMs;
  }

  #isCaptured(entry: PodEntry): boolean {
    return entry.phase === 'captured' && this.#pods.get(entry.pod.podUid) === entry;
  }

  async #probe(entry: PodEntry): Promise<readonly ProofResult[]> {
    const results = await this.#deps.prover.probe(entry.pod);
    this.counters.probes += results.filter(({ outcome }) => outcome !== 'not-applicable').length;
    this.counters.probeFailures += results.filter((r) => r.outcome === 'not-captured').length;
    return results;
  }

  #takeProof(entry: PodEntry, results: readonly ProofResult[]): void {
    if (recordProof(entry, results, performance.now())) this.#tellVerdict(entry);
    this.#deps.onState?.(stateOf(entry));
  }

  async #repairHost(now: number): Promise<void> {
    this.#hostAt = now + HOST_RULES_EVERY_MS;
    if (this.#deps.mayRepair?.() === false) return;
    try {
      if ((await this.#deps.hostRules?.repair()) === true) {
        this.#deps.log.warn('rules of the node repaired');
      }
    } catch (error) {
      this.#deps.log.error('rules of the node not repaired', { error });
    }
  }
}

function nameOf({ namespace, name }: CapturePod): { readonly pod: string } {
  return { pod: `${namespace}/${name}` };
}

function unknownPod(podUid: string): MeshError {
  return new MeshError('CAPTURE_FAILED', `Cannot change the capture of pod "${podUid}": unknown`);
}

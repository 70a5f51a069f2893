/**
 * A directory of YAML as the source of the mesh, kept in force while it is edited.
 *
 * With any problem in the directory the last good state stays, whole; the problems are part of the
 * desired state, so the runner can show them. Whatever happens (an edit, a report from the runner)
 * leads to the same step: plan the pods, assemble the world, hand over what differs.
 */
import { randomUUID } from 'node:crypto';
import { watch, type FSWatcher } from 'node:fs';
import { MeshError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { equal } from '../model/equal.ts';
import type { DesiredState, PodRuntime, Problem, RuntimePatch } from '#common/control/desired.ts';
import { directoryError, listFiles, readFiles, type SourceFile } from './directory-load.ts';
import { PodMemory, recall } from './pod-memory.ts';
import { planPods, type Declarations, type PlannedPod } from './rollout.ts';
import type { Declared } from './schemas/kinds.ts';
import { ServiceAddresses } from './service-addresses.ts';
import type { OnChanges, RunnableSource } from './source.ts';
import { ObjectDiff, assemble, only, type Desired } from './world.ts';

export interface DirectorySourceDeps {
  readonly directory: string;
  /** Where pods are remembered over a restart; undefined to remember nothing. */
  readonly stateFile: string | undefined;
  /** As in the model's options: ends the host names of Services. */
  readonly domain: string;
  readonly log: Logger;
  readonly onChanges: OnChanges;
  readonly newUid?: () => string;
  readonly nowMs?: () => number;
}

/** An editor writes a file in several steps; this long after the last one it is read. */
const SETTLE_MS = 100;
/** What a watch may have missed (a file system without events) is seen this late. */
const RESCAN_MS = 5_000;
/** A plan may free names that the next one uses; more rounds than this cannot help. */
const MAX_ROUNDS = 4;

export class DirectorySource implements RunnableSource {
  readonly #deps: DirectorySourceDeps;
  readonly #epoch = randomUUID();
  readonly #memory: PodMemory;
  readonly #addresses = new ServiceAddresses();
  readonly #diff = new ObjectDiff();
  readonly #runtimeByUid = new Map<string, PodRuntime>();
  readonly #waiters = new Set<() => void>();
  #declared: readonly Declared[] = [];
  #pods: PlannedPod[] = [];
  #desired: Desired = { nodes: [], pods: [], hosts: [] };
  #problems: readonly Problem[] = [];
  #warnings: readonly Problem[] = [];
  #version = 0;
  #stamp = '';
  #watcher: FSWatcher | undefined;
  #settling: NodeJS.Timeout | undefined;
  #rescan: NodeJS.Timeout | undefined;
  #reloading: Promise<void> = Promise.resolve();
  #isRefreshDue = false;
  #isStopped = false;

  constructor(deps: DirectorySourceDeps) {
    this.#deps = deps;
    this.#memory = new PodMemory(deps.stateFile, deps.log);
  }

  /** Rejects with `CONFIG_INVALID` when the directory is not good: there is no state to fall back on. */
  async start(): Promise<void> {
    const { directory } = this.#deps;
    // Watched before it is read, so that no edit falls between.
    this.#watch();
    try {
      await this.#reload();
      if (this.#version === 0) throw directoryError(directory, this.#problems);
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#rescan = setInterval(() => this.#requestReload(), RESCAN_MS).unref();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#watcher?.close();
    clearTimeout(this.#settling);
    clearInterval(this.#rescan);
    await this.#reloading;
    this.#wakeAll();
    await this.#memory.save(this.#pods, this.#runtimeByUid);
  }

  problems(): readonly Problem[] {
    return this.#problems;
  }

  async desired(after: number | undefined, signal: AbortSignal): Promise<DesiredState> {
    if (after === this.#version && !signal.aborted && !this.#isStopped) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiters.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiters.add(wake);
        signal.addEventListener('abort', wake);
      });
    }
    return {
      epoch: this.#epoch,
      version: this.#version,
      problems: this.#problems,
      warnings: this.#warnings,
      ...this.#desired,
    };
  }

  patchRuntime(patch: RuntimePatch): void {
    const known = new Set(this.#pods.map(({ podUid }) => podUid));
    for (const pod of patch.pods) {
      // A pod that we never asked for, or that is gone: the runner ends it by itself.
      if (known.has(pod.podUid)) this.#runtimeByUid.set(pod.podUid, pod);
    }
    for (const podUid of patch.gone) this.#runtimeByUid.delete(podUid);
    const gone = new Set(patch.gone);
    this.#pods = this.#pods.filter(({ podUid }) => !gone.has(podUid));
    this.#requestRefresh();
  }

  #watch(): void {
    try {
      this.#watcher = watch(this.#deps.directory, { recursive: true }, () => {
        clearTimeout(this.#settling);
        this.#settling = setTimeout(() => this.#requestReload(), SETTLE_MS);
      });
      this.#watcher.on('error', (error) => {
        this.#deps.log.warn('directory is not watched, only looked at', { error });
      });
    } catch (error) {
      this.#deps.log.warn('directory is not watched, only looked at', { error });
    }
  }

  #requestReload(): void {
    this.#reloading = this.#reloadAfter(this.#reloading);
  }

  async #reloadAfter(previous: Promise<void>): Promise<void> {
    await previous;
    if (this.#isStopped) return;
    try {
      await this.#reload();
    } catch (error) {
      // The next look must read again, whatever the files look like then.
      this.#stamp = '';
      const message = error instanceof MeshError ? error.message : 'cannot be read';
      this.#setProblems([{ ...NOWHERE, message }]);
      this.#deps.log.error('directory cannot be read, the last good state stays', { error });
    }
  }

  async #reload(): Promise<void> {
    const { directory, log } = this.#deps;
    const files = await listFiles(directory);
    const stamp = stampOf(files);
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    const loaded = await readFiles(directory, files);
    const problems =
      files.length === 0 ? [{ ...NOWHERE, message: 'no YAML files' }] : loaded.problems;
    if (problems.length > 0) {
      this.#setProblems(problems);
      log.warn('directory has mistakes, the last good state stays', { problems: problems.length });
      return;
    }
    if (this.#version === 0) await this.#recall(loaded.objects);
    this.#declared = loaded.objects;
    this.#setProblems([], loaded.warnings);
    log.info('directory read', { files: files.length, objects: loaded.objects.length });
    this.#refresh();
  }

  async #recall(declared: readonly Declared[]): Promise<void> {
    const remembered = await this.#memory.load();
    this.#pods = recall(remembered, declarationsOf(declared), this.#now());
    const uids = new Set(this.#pods.map(({ podUid }) => podUid));
    for (const { podUid, runtime } of remembered) {
      if (runtime !== undefined && uids.has(podUid)) this.#runtimeByUid.set(podUid, runtime);
    }
  }

  #setProblems(problems: readonly Problem[], warnings = this.#warnings): void {
    if (equal(problems, this.#problems) && equal(warnings, this.#warnings)) return;
    this.#problems = problems;
    this.#warnings = warnings;
    if (this.#version > 0) this.#raise();
  }

  /** Many reports that arrive together cost one step. */
  #requestRefresh(): void {
    if (this.#isRefreshDue) return;
    this.#isRefreshDue = true;
    setImmediate(() => {
      this.#isRefreshDue = false;
      if (!this.#isStopped) this.#refresh();
    });
  }

  #refresh(): void {
    this.#plan();
    const { objects, desired } = assemble({
      declared: this.#declared,
      services: this.#addresses.assign(only(this.#declared, 'Service')),
      pods: this.#pods,
      runtimeByUid: this.#runtimeByUid,
      domain: this.#deps.domain,
    });
    const changes = this.#diff.changesTo(objects);
    if (changes.length > 0) this.#deps.onChanges(changes);
    if (this.#version === 0 || !equal(desired, this.#desired)) {
      this.#desired = desired;
      this.#raise();
    }
    void this.#memory.save(this.#pods, this.#runtimeByUid);
  }

  #plan(): void {
    const declared = declarationsOf(this.#declared);
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const planned = planPods(this.#pods, declared, {
        isReady: (podUid) => this.#runtimeByUid.get(podUid)?.ready ?? false,
        newUid: this.#deps.newUid ?? randomUUID,
        nowMs: this.#now(),
      });
      // Nobody has run these yet, so there is nothing to wait for.
      this.#pods = planned.filter((pod) => !pod.leaving || this.#runtimeByUid.has(pod.podUid));
      if (this.#pods.length === planned.length) return;
    }
  }

  #raise(): void {
    this.#version += 1;
    this.#wakeAll();
  }

  #wakeAll(): void {
    for (const wake of this.#waiters) wake();
  }

  #now(): number {
    return (this.#deps.nowMs ?? Date.now)();
  }
}

const NOWHERE = { file: '.', line: 0, object: '', field: '' };

function stampOf(files: readonly SourceFile[]): string {
  return files.map(({ path, stamp }) => `${path} ${stamp}`).join('\n');
}

function declarationsOf(declared: readonly Declared[]): Declarations {
  return {
    pods: only(declared, 'Pod'),
    deployments: only(declared, 'Deployment'),
    nodes: only(declared, 'Node'),
  };
}

/**
 * The world of this agent: what the controller sent last, in force here and in every data worker.
 *
 * An update is applied whole, first here, then in the workers, then on disk. Until the controller has
 * been reached the state that was saved by the last agent of this node is in force.
 */
import type { ResumePoint } from '#common/control/messages.ts';
import { collectGarbage } from '#common/engine/collect.ts';
import type { Logger } from '#common/log.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import type { MeshUpdate } from '#common/mesh/update.ts';
import { View } from '#common/mesh/view.ts';
import { loadState, StateFile } from './state-file.ts';

export interface MeshStateDeps {
  readonly stateDir: string;
  readonly log: Logger;
  /** Puts a packed update in force in the data workers. */
  readonly toWorkers: (packed: Uint8Array) => void;
  /** The pods of this node may have changed. */
  readonly onPods: () => void;
}

/** A snapshot of this size leaves garbage that is worth a collection. */
const LARGE_BYTES = 512 * 1024;
/** By then the state is on disk as well, which makes as much garbage again. */
const COLLECT_AFTER_MS = 4_000;

export class MeshState {
  readonly view = new View();
  readonly #deps: MeshStateDeps;
  readonly #file: StateFile;
  readonly #first = Promise.withResolvers<void>();
  #epoch = '';
  #hasState = false;
  #collection: NodeJS.Timeout | undefined;

  constructor(deps: MeshStateDeps) {
    this.#deps = deps;
    this.#file = new StateFile(deps.stateDir, () => this.#saved(), deps.log);
  }

  /** Resolves when there is a state, saved or sent. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  /** Whether there is one by now: before it, that no pod is known says nothing. */
  get hasState(): boolean {
    return this.#hasState;
  }

  get epoch(): string {
    return this.#epoch;
  }

  get resume(): ResumePoint | undefined {
    if (this.#epoch === '') return undefined;
    return { epoch: this.#epoch, version: this.view.version };
  }

  /** Puts the saved state in force, if there is one that can be read. */
  restore(): void {
    const { stateDir, log } = this.#deps;
    const saved = loadState(stateDir, log);
    if (saved === undefined) return;
    try {
      this.#take(saved.snapshot);
    } catch (error) {
      log.warn('saved state cannot be used', { error });
      return;
    }
    this.#epoch = saved.epoch;
    log.info('saved state is in force', { version: saved.version, ...this.view.sizes() });
  }

  apply(update: MeshUpdate, epoch: string): void {
    this.#take(packUpdate(update));
    this.#epoch = epoch;
    this.#file.changed();
    const { version, snapshot } = update;
    this.#deps.log.debug('update in force', { version, snapshot });
  }

  /** The whole state packed, for a data worker that starts later than the others. */
  snapshot(): Uint8Array | undefined {
    return this.#epoch === '' ? undefined : packUpdate(this.view.snapshot());
  }

  /** Saves what has not been saved yet. */
  async stop(): Promise<void> {
    await this.#file.flush();
  }

  #take(packed: Uint8Array): void {
    const applied = this.view.apply(packed);
    this.#hasState = true;
    this.#deps.toWorkers(packed);
    if (applied.snapshot && packed.length >= LARGE_BYTES) {
      clearTimeout(this.#collection);
      this.#collection = setTimeout(collectGarbage, COLLECT_AFTER_MS).unref();
    }
    if (applied.pods) this.#deps.onPods();
    this.#first.resolve();
  }

  #saved() {
    const snapshot = this.snapshot();
    if (snapshot === undefined) return undefined;
    return { epoch: this.#epoch, version: this.view.version, snapshot };
  }
}

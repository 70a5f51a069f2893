/**
 * Where the objects of the mesh come from: a directory of YAML, or a Kubernetes API server.
 *
 * A source hands over whole changes only: every list given to `onChanges` leads from one consistent
 * state to the next, the first one from nothing to all there is.
 */
import type { ObjectChange } from '../model/diff.ts';
import type { DesiredState, Problem, RuntimePatch } from '#common/control/desired.ts';

export interface ObjectSource {
  /** Resolves when the first state has been handed over. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** The directory source, as controller/api serves it to the runner of its pods. */
export interface RunnableSource extends ObjectSource {
  /**
   * Resolves with the desired state once its version differs from `after` (at once when `after` is
   * undefined), or as it is when `signal` fires.
   */
  desired(after: number | undefined, signal: AbortSignal): Promise<DesiredState>;
  /** Takes facts from the runner; see `decodeRuntimePatch` of runtime-decode.ts for the door. */
  patchRuntime(patch: RuntimePatch): void;
  /** What is wrong with the directory as it stands on disk; empty when it is in force. */
  problems(): readonly Problem[];
}

export type OnChanges = (changes: readonly ObjectChange[]) => void;

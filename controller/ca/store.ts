/**
 * Where the state of the CA is kept, and the one rule of all such places: a write replaces exactly the
 * state that it was made from, or nothing. So of two controllers that write at once one has lost, and
 * knows it.
 */
import type { CaState } from './state.ts';

export interface StoredCa {
  readonly state: CaState;
  /** Another for each write; '' stands for "there is none yet". */
  readonly revision: string;
}

export interface CaStore {
  /** Whether others write here too, so that changes must be looked for. */
  readonly isShared: boolean;
  /** Undefined when there has never been a state. Throws `STATE_UNREADABLE` for one that is damaged. */
  load(): Promise<StoredCa | undefined>;
  /**
   * Writes in place of `revision` and resolves with the new one once the state is safe; with undefined
   * when what is kept is no longer of that revision.
   */
  save(state: CaState, revision: string): Promise<string | undefined>;
}

/**
 * A change of the world as an agent may see it: what the controller sends, what a View applies.
 *
 * Applied whole or not at all. A snapshot replaces everything; a delta adds, replaces and removes by
 * primary key. Versions of one controller epoch rise by at least one from update to update.
 */
import type { Policy } from './policy.ts';
import type { Service } from './service.ts';
import type { LocalPod, Workload } from './workload.ts';

export interface MeshUpdate {
  readonly version: number;
  readonly snapshot: boolean;
  readonly workloads: readonly Workload[];
  readonly services: readonly Service[];
  readonly policies: readonly Policy[];
  readonly pods: readonly LocalPod[];
  /** Primary keys of what is gone. */
  readonly removed: {
    readonly workloads: readonly string[];
    readonly services: readonly string[];
    readonly policies: readonly string[];
    readonly pods: readonly string[];
  };
}

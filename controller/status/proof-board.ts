/**
 * The newest result of the capture proof for every pod, as the agents report it.
 *
 * An agent is heard only about pods of its own node, and what is said of a pod goes with the pod; so
 * the board is bounded by the mesh, whatever is reported.
 */
import type { ProofRow } from '#common/control/messages.ts';
import type { ProofReport } from '#common/control/reports.ts';

/** Says on which node a pod is; undefined when there is no such pod. */
export type NodeOf = (podUid: string) => string | undefined;

export class ProofBoard {
  readonly #nodeOf: NodeOf;
  readonly #rows = new Map<string, Map<string, ProofReport>>();
  /** Rows about pods that are not on the node of who sent them. */
  refused = 0;

  constructor(nodeOf: NodeOf) {
    this.#nodeOf = nodeOf;
  }

  /** Takes rows of one agent; returns those that were taken. */
  take(node: string, rows: readonly ProofRow[]): ProofReport[] {
    const taken: ProofReport[] = [];
    for (const row of rows) {
      if (this.#nodeOf(row.podUid) !== node) {
        this.refused += 1;
        continue;
      }
      const ofPod = this.#rows.get(row.podUid) ?? new Map<string, ProofReport>();
      const report = { ...row, node };
      this.#rows.set(row.podUid, ofPod.set(`${row.direction} ${row.family}`, report));
      taken.push(report);
    }
    return taken;
  }

  /** The rows of one pod. */
  rowsOf(podUid: string): ProofReport[] {
    return [...(this.#rows.get(podUid)?.values() ?? [])];
  }

  /** All rows of pods that are still there; forgets the others. */
  rows(): ProofReport[] {
    for (const podUid of this.#rows.keys()) {
      if (this.#nodeOf(podUid) === undefined) this.#rows.delete(podUid);
    }
    return [...this.#rows.values()].flatMap((ofPod) => [...ofPod.values()]);
  }
}

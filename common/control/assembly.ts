/**
 * Puts the parts of an update together again.
 *
 * An update is handed on whole or not at all: parts must come in order, from 0, and agree with the
 * first. What was begun is forgotten when the connection ends.
 */
import { MeshError } from '../errors.ts';
import type { MeshUpdate } from '../mesh/update.ts';
import type { Workload } from '../mesh/workload.ts';
import type { UpdatePart } from './messages.ts';

/** Objects and removed names of one update; a mesh of a million is beyond what one agent can hold. */
const MOST_OBJECTS = 1_000_000;

export class Assembly {
  #parts: UpdatePart[] = [];
  #objects = 0;

  /** Takes the next part; returns the update when this was the last. */
  add(part: UpdatePart): MeshUpdate | undefined {
    const [first = part] = this.#parts;
    if (
      part.part !== this.#parts.length ||
      part.version !== first.version ||
      part.snapshot !== first.snapshot
    ) {
      const found = `part ${part.part} of version ${part.version}`;
      const expected = `part ${this.#parts.length} of version ${first.version}`;
      throw invalid(`expected ${expected}, found ${found}`);
    }
    this.#objects += countOf(part);
    if (this.#objects > MOST_OBJECTS) throw invalid(`it has more than ${MOST_OBJECTS} objects`);
    this.#parts.push(part);
    if (!part.last) return undefined;
    const whole = join(this.#parts);
    this.#parts = [];
    this.#objects = 0;
    return whole;
  }
}

function invalid(found: string): MeshError {
  return new MeshError('MESSAGE_INVALID', `Cannot put an update together: ${found}`);
}

function countOf({ workloads, services, policies, pods, removed }: MeshUpdate): number {
  return [
    workloads,
    services,
    policies,
    pods,
    removed.workloads,
    removed.services,
    removed.policies,
    removed.pods,
  ].reduce((sum, list) => sum + list.length, 0);
}

function join(parts: readonly UpdatePart[]): MeshUpdate {
  const [first] = parts;
  return {
    version: first?.version ?? 0,
    snapshot: first?.snapshot ?? false,
    workloads: newest(parts.flatMap((part) => part.workloads)),
    services: parts.flatMap((part) => part.services),
    policies: parts.flatMap((part) => part.policies),
    pods: parts.flatMap((part) => part.pods),
    removed: {
      workloads: parts.flatMap((part) => part.removed.workloads),
      services: parts.flatMap((part) => part.removed.services),
      policies: parts.flatMap((part) => part.removed.policies),
      pods: parts.flatMap((part) => part.removed.pods),
    },
  };
}

/** A workload may come twice: as everybody gets it, then as its own node gets it. */
function newest(workloads: readonly Workload[]): readonly Workload[] {
  const byUid = new Map(workloads.map((one) => [one.uid, one]));
  return byUid.size === workloads.length ? workloads : [...byUid.values()];
}

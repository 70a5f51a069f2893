/**
 * What is to be said to the authors of objects: which could not be read, why, and what holds instead.
 *
 * Kept for every object of a CRD, since each gets a status, and for others only while something is
 * wrong with them. Readers are told of each change, once.
 */
import type { MeshKind } from '../model/objects.ts';
import type { Complaint, Judged } from './cluster-kinds.ts';
import type { Resource } from './resource.ts';

export interface Judgement {
  readonly kind: MeshKind;
  readonly resource: Resource;
  /** `namespace/name`; the name alone for objects of the cluster. */
  readonly key: string;
  /** That was read: the `observedGeneration` of a status. */
  readonly generation: number;
  /** Empty: in force as written. */
  readonly complaints: readonly Complaint[];
  /** With complaints: whether a stricter policy stands for it, or nothing does. */
  readonly isReplaced: boolean;
}

export type OnJudged = (judgement: Judgement, isGone: boolean) => void;

export class Judgements {
  readonly #byId = new Map<string, Judgement>();
  readonly #onJudged: OnJudged;

  constructor(onJudged: OnJudged) {
    this.#onJudged = onJudged;
  }

  note(kind: MeshKind, resource: Resource, judged: Judged, keepsGood: boolean): void {
    const { key, generation, complaints, object } = judged;
    const id = idOf(resource, key);
    const known = this.#byId.get(id);
    if (complaints.length === 0 && !keepsGood) {
      if (known !== undefined) this.forget(resource, key);
      return;
    }
    if (known?.generation === generation && isSame(known.complaints, complaints)) return;
    const isReplaced = complaints.length > 0 && object !== undefined;
    const judgement = { kind, resource, key, generation, complaints, isReplaced };
    this.#byId.set(id, judgement);
    this.#onJudged(judgement, false);
  }

  forget(resource: Resource, key: string): void {
    const id = idOf(resource, key);
    const known = this.#byId.get(id);
    if (known === undefined) return;
    this.#byId.delete(id);
    this.#onJudged(known, true);
  }

  all(): Judgement[] {
    return [...this.#byId.values()];
  }
}

function idOf({ group, plural }: Resource, key: string): string {
  return `${plural}.${group}/${key}`;
}

function isSame(a: readonly Complaint[], b: readonly Complaint[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

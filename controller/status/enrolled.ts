/**
 * Which namespaces and pods are in the mesh, as far as something is to be said of them outside it: who
 * needs the roots, which pods have left, and which should be captured and are not.
 *
 * Follows the objects of the source and the differences of the model. Pure but for what it remembers.
 */
import type { ModelDiff, ObjectChange, PlacedPod } from '../model/diff.ts';
import { DATAPLANE_MODE, read } from '../model/names.ts';

export interface NamedPod {
  readonly namespace: string;
  readonly name: string;
  readonly podUid: string;
}

/** Something that is to be said of a pod. */
export interface PodComplaint {
  readonly pod: NamedPod;
  readonly reason: 'NotCaptured' | 'NeverCaptured';
  readonly message: string;
}

/** What a difference means for the pods' conditions. */
export interface PodMoves {
  /** Those that were in the mesh and are out of it, but still there. */
  readonly left: readonly NamedPod[];
  /** Uids of those that are gone. */
  readonly gone: readonly string[];
}

/** How long capture may take before it is said to be missing. */
const PATIENCE_MS = 60_000;
/** Reasons to leave a pod out that its labels did not ask for. */
const UNASKED = /^(host network|has a sidecar|unknown dataplane mode .*)$/;

interface Known {
  readonly placed: PlacedPod;
  /** Monotonic: when it was first seen to be enrolled; undefined when it is not. */
  readonly enrolledMs: number | undefined;
}

export class Enrolled {
  readonly #system: string;
  readonly #namespaces = new Set<string>();
  readonly #pods = new Map<string, Known>();
  /** Uids of the pods that are in the mesh. */
  readonly #members = new Set<string>();
  /** Uids of the pods that are written down as captured, by whichever replica. */
  readonly #written = new Set<string>();
  /** What an agent of this replica has said since that last changed. */
  readonly #proven = new Map<string, boolean>();

  constructor(systemNamespace: string) {
    this.#system = systemNamespace;
  }

  /** Those that need the roots of the mesh. */
  get namespaces(): ReadonlySet<string> {
    return new Set([this.#system, ...this.#namespaces]);
  }

  /** Whether a pod is in the mesh. One that is on its way out is still captured, and its agent says so. */
  has(podUid: string): boolean {
    return this.#members.has(podUid);
  }

  /** Takes the source's changes. */
  objects(changes: readonly ObjectChange[]): void {
    for (const change of changes) {
      if (change.type === 'delete') {
        if (change.kind === 'Namespace') this.#namespaces.delete(change.name);
        continue;
      }
      const { object } = change;
      if (object.kind === 'Namespace') {
        const { name, labels } = object.meta;
        if (read(labels, DATAPLANE_MODE) === 'ambient') this.#namespaces.add(name);
        else this.#namespaces.delete(name);
      } else if (object.kind === 'Pod') {
        this.#note(object.podUid, object.captured === true);
      }
    }
  }

  /** An agent has proven the capture of a pod, or found that it is not captured. */
  proven(podUid: string, isCaptured: boolean): void {
    this.#proven.set(podUid, isCaptured);
  }

  /** How many pods are in the mesh, and how many of them are proven to be captured. */
  counts(): { readonly enrolled: number; readonly proven: number } {
    let [enrolled, proven] = [0, 0];
    for (const { placed } of this.#pods.values()) {
      if (!placed.pod.enrolled) continue;
      enrolled += 1;
      if (this.#isCaptured(placed.pod.podUid)) proven += 1;
    }
    return { enrolled, proven };
  }

  /** Takes what the model found different. */
  pods(diff: Pick<ModelDiff, 'pods' | 'removed'>, nowMs: number): PodMoves {
    const left: NamedPod[] = [];
    const gone: string[] = [];
    for (const placed of diff.pods) {
      const { uid, podUid, enrolled } = placed.pod;
      const old = this.#pods.get(uid);
      if (old !== undefined && old.placed.pod.podUid !== podUid) gone.push(this.#drop(old));
      else if (old?.placed.pod.enrolled === true && !enrolled) left.push(nameOf(placed));
      if (enrolled) this.#members.add(podUid);
      else this.#members.delete(podUid);
      const since = old?.placed.pod.podUid === podUid ? old.enrolledMs : undefined;
      this.#pods.set(uid, { placed, enrolledMs: enrolled ? (since ?? nowMs) : undefined });
    }
    for (const uid of diff.removed.pods) {
      const old = this.#pods.get(uid);
      if (old === undefined) continue;
      this.#pods.delete(uid);
      gone.push(this.#drop(old));
    }
    return { left, gone };
  }

  /** What is to be said now of pods that should be captured and are not. */
  complaints(nowMs: number): PodComplaint[] {
    return [...this.#pods.values()].flatMap((known) => {
      const complaint = this.#complaintOf(known, nowMs);
      return complaint === undefined ? [] : [complaint];
    });
  }

  #complaintOf({ placed, enrolledMs }: Known, nowMs: number): PodComplaint | undefined {
    const { node, pod } = placed;
    if (!pod.enrolled) {
      if (!this.#namespaces.has(pod.namespace) || !UNASKED.test(pod.exemption)) return undefined;
      const message = `This pod is never captured, though its namespace is: ${pod.exemption}`;
      return { pod: nameOf(placed), reason: 'NeverCaptured', message };
    }
    if (this.#isCaptured(pod.podUid) || nowMs - (enrolledMs ?? nowMs) < PATIENCE_MS) {
      return undefined;
    }
    const message = `The capture of this pod has not been proven; does an agent run on node "${node}"?`;
    return { pod: nameOf(placed), reason: 'NotCaptured', message };
  }

  /** What is written down counts again as soon as it changes: the pod's agent may report elsewhere now. */
  #note(podUid: string, isWritten: boolean): void {
    if (this.#written.has(podUid) === isWritten) return;
    if (isWritten) this.#written.add(podUid);
    else this.#written.delete(podUid);
    this.#proven.delete(podUid);
  }

  #isCaptured(podUid: string): boolean {
    return this.#proven.get(podUid) ?? this.#written.has(podUid);
  }

  #drop({ placed }: Known): string {
    this.#written.delete(placed.pod.podUid);
    this.#proven.delete(placed.pod.podUid);
    this.#members.delete(placed.pod.podUid);
    return placed.pod.podUid;
  }
}

function nameOf({ pod }: PlacedPod): NamedPod {
  const { namespace, name, podUid } = pod;
  return { namespace, name, podUid };
}

/**
 * Keeps the status of the objects of our own kinds true: what was thought of each, and at how many nodes
 * it is in force, counted over all replicas.
 *
 * Every replica counts its own agents; the one that leads adds up and writes. Only what differs is
 * written; a status that differs in the number of nodes alone waits some minutes.
 */
import type { ReplicaReport, ReportedObject } from './replica-report.ts';
import { MOST_CHANGED } from './replica-report.ts';
import {
  differsInSubstance,
  statusOfObject,
  type Complaint,
  type JudgedObject,
  type ObjectStatus,
} from './object-conditions.ts';

/** Names an object among all: `authorizationpolicies shop/admins`. */
export type ObjectId = string;

export interface ObjectReportsDeps {
  /** Versions of the mesh that the agents of this replica have in force. */
  readonly appliedVersions: () => readonly number[];
  readonly meshVersion: () => number;
  readonly others: () => readonly ReplicaReport[];
  /** What the model has to say of an object that was taken. */
  readonly warningsOf: (id: ObjectId) => readonly Complaint[];
  readonly write: (id: ObjectId, status: ObjectStatus) => void;
  /** Monotonic. */
  readonly now?: () => number;
}

/** After this long the model has what was read, whatever it made of it. */
const SETTLE_MS = 500;
/** For so long a changed object is spoken of in reports. */
const SPOKEN_MS = 60_000;
/** A replica that does not speak of an object after this long has had it for long. */
const HEARD_MS = 15_000;
const COUNT_AGAIN_MS = 5 * 60_000;

interface Entry {
  readonly judged: JudgedObject;
  readonly judgedMs: number;
  /** Of the mesh: the first that surely has it. */
  version: number | undefined;
  written: ObjectStatus | undefined;
  writtenMs: number;
}

export class ObjectReports {
  readonly #deps: ObjectReportsDeps;
  readonly #now: () => number;
  readonly #entries = new Map<ObjectId, Entry>();

  constructor(deps: ObjectReportsDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? (() => performance.now());
  }

  judged(id: ObjectId, judged: JudgedObject): void {
    const entry = { judged, judgedMs: this.#now(), version: undefined };
    const old = this.#entries.get(id);
    const { written, writtenMs = 0 } = old ?? {};
    const isAnother = written?.generation !== judged.generation;
    this.#entries.set(id, { ...entry, written: isAnother ? undefined : written, writtenMs });
  }

  gone(id: ObjectId): void {
    this.#entries.delete(id);
  }

  /** Forgets what was written: another replica has led meanwhile. */
  startAfresh(): void {
    for (const entry of this.#entries.values()) entry.written = undefined;
  }

  /** What this replica tells the others: objects that changed a short while ago. */
  changed(): ReportedObject[] {
    const nowMs = this.#now();
    const applied = this.#deps.appliedVersions();
    return [...this.#entries]
      .filter(([, { judgedMs }]) => nowMs - judgedMs < SPOKEN_MS)
      .slice(-MOST_CHANGED)
      .map(([object, entry]) => {
        const { generation } = entry.judged;
        return { object, generation, applied: this.#reachHere(entry, applied) };
      });
  }

  /** One run of the chore of the replica that leads. */
  update(): void {
    const nowMs = this.#now();
    const applied = this.#deps.appliedVersions();
    const others = this.#deps.others().map((report) => ({
      agents: report.agents,
      changed: new Map(report.changed.map((one) => [one.object, one])),
    }));
    const total = applied.length + others.reduce((sum, { agents }) => sum + agents, 0);
    for (const [id, entry] of this.#entries) {
      // What is in force everywhere stays so: whoever comes later begins with all there is.
      const isDone = entry.written?.conditions.every(({ status }) => status === 'True') === true;
      if (isDone && nowMs - entry.writtenMs < COUNT_AGAIN_MS) continue;
      let reach = this.#reachHere(entry, applied);
      const isOld = nowMs - entry.judgedMs > HEARD_MS;
      for (const { agents, changed } of others) {
        const told = changed.get(id);
        if (told === undefined) reach += isOld ? agents : 0;
        else if (told.generation >= entry.judged.generation) reach += told.applied;
      }
      const status = statusOfObject(
        { ...entry.judged, warnings: this.#deps.warningsOf(id) },
        { applied: Math.min(reach, total), total },
      );
      const { written } = entry;
      const isDue =
        written === undefined ||
        differsInSubstance(written, status) ||
        (written.nodes !== status.nodes && nowMs - entry.writtenMs > COUNT_AGAIN_MS);
      if (!isDue || entry.version === undefined) continue;
      entry.written = status;
      entry.writtenMs = nowMs;
      this.#deps.write(id, status);
    }
  }

  #reachHere(entry: Entry, applied: readonly number[]): number {
    if (entry.version === undefined) {
      if (this.#now() - entry.judgedMs < SETTLE_MS) return 0;
      entry.version = this.#deps.meshVersion();
    }
    const { version } = entry;
    return applied.filter((one) => one >= version).length;
  }
}

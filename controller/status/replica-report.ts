/**
 * What one replica of the controller tells the others of its agents, through a ConfigMap of its own: as
 * much as a root rotation and the status of policies need, and no more. Pure.
 *
 * While no root is replaced a report names no agent, so that it is small and hardly ever changes.
 */
import {
  decodeText,
  integer,
  list,
  matching,
  nullOr,
  object,
  oneOf,
  text,
} from '#common/control/decode.ts';
import type { AgentView } from '../ca/rotation.ts';

/** An agent, as it counts for a rotation. */
export interface ReportedAgent {
  readonly node: string;
  readonly generation: number;
  /** Null before its first word of it. */
  readonly authorities: readonly string[] | null;
}

/** How many agents of this replica have a changed object in force. */
export interface ReportedObject {
  /** `AuthorizationPolicy shop/admins`. */
  readonly object: string;
  readonly generation: number;
  readonly applied: number;
}

export interface ReplicaReport {
  readonly format: 1;
  readonly replica: string;
  /** Rises with each renewal: a report that stays as it is is one of a replica that is gone. */
  readonly beat: number;
  /** Of the roots that this replica signs by. */
  readonly trustGeneration: number;
  readonly agents: number;
  /** Null while no root is replaced. */
  readonly rotating: readonly ReportedAgent[] | null;
  /** Those that changed a short while ago; all others are in force at every agent. */
  readonly changed: readonly ReportedObject[];
}

const LONGEST = 1024 * 1024;
const MOST_AGENTS = 20_000;
export const MOST_CHANGED = 2000;

const decoder = object<ReplicaReport>({
  format: oneOf(1),
  replica: text(253),
  beat: integer(0, Number.MAX_SAFE_INTEGER),
  trustGeneration: integer(0, Number.MAX_SAFE_INTEGER),
  agents: integer(0, MOST_AGENTS),
  rotating: nullOr(
    list(
      object<ReportedAgent>({
        node: text(253),
        generation: integer(0, Number.MAX_SAFE_INTEGER),
        authorities: nullOr(list(matching(/^[0-9a-f]{64}$/, 'a SHA-256 in hex'), 16)),
      }),
      MOST_AGENTS,
    ),
  ),
  changed: list(
    object<ReportedObject>({
      object: text(600),
      generation: integer(0, Number.MAX_SAFE_INTEGER),
      applied: integer(0, MOST_AGENTS),
    }),
    MOST_CHANGED,
  ),
});

/** Throws `MESSAGE_INVALID`. */
export function decodeReport(written: string): ReplicaReport {
  return decodeText(written, { what: 'the report of a replica', decoder, maxLength: LONGEST });
}

/** A report that has been read, and when it was last seen to change, by a monotonic clock. */
export interface SeenReport {
  readonly report: ReplicaReport;
  readonly changedMs: number;
}

/** Takes what was read anew; what has not changed keeps its age. */
export function seeReports(
  before: ReadonlyMap<string, SeenReport>,
  found: readonly ReplicaReport[],
  nowMs: number,
): Map<string, SeenReport> {
  return new Map(
    found.map((report) => {
      const old = before.get(report.replica);
      const isSame = old?.report.beat === report.beat;
      return [report.replica, { report, changedMs: isSame ? old.changedMs : nowMs }];
    }),
  );
}

/**
 * The agents of other replicas, as a rotation must see them. A replica that has not yet said how its
 * agents stand is a view by itself that nothing satisfies.
 */
export function otherAgents(
  seen: Iterable<SeenReport>,
  { me, generation }: { readonly me: string; readonly generation: number },
): AgentView[] {
  return [...seen].flatMap(({ report }): AgentView[] => {
    const { replica, trustGeneration, rotating } = report;
    if (replica === me) return [];
    if (rotating === null || trustGeneration < generation) {
      return [{ node: `(agents of ${replica})`, generation: 0, authorities: undefined }];
    }
    return rotating.map(({ node, generation: at, authorities }) => {
      return { node, generation: at, authorities: authorities ?? undefined };
    });
  });
}

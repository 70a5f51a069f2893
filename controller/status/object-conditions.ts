/**
 * What the status of an object says: whether it was accepted, and at how many nodes it is in force. Pure.
 *
 * The two conditions are those of Gateway API, so that tools which wait for them work here too.
 */

export interface Complaint {
  readonly field: string;
  readonly message: string;
}

/** What the source thought of an object; see controller/kube/judgements.ts. */
export interface JudgedObject {
  readonly generation: number;
  /** Empty: in force as written. */
  readonly complaints: readonly Complaint[];
  /** With complaints: whether a stricter policy stands for it, or nothing does. */
  readonly isReplaced: boolean;
}

/** At how many of the nodes whose agents are connected it is in force. */
export interface Reach {
  readonly applied: number;
  readonly total: number;
}

export interface Condition {
  readonly type: 'Accepted' | 'Programmed';
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

export interface ObjectStatus {
  readonly generation: number;
  readonly conditions: readonly Condition[];
  /** `3/3`. */
  readonly nodes: string;
}

const MOST_COMPLAINTS = 5;
const LONGEST_MESSAGE = 1000;

export function statusOfObject(
  judged: JudgedObject & { readonly warnings: readonly Complaint[] },
  { applied, total }: Reach,
): ObjectStatus {
  const { generation, complaints, isReplaced } = judged;
  const nodes = `${applied}/${total}`;
  const isAccepted = complaints.length === 0;
  const accepted = isAccepted ? acceptance(judged.warnings) : refusal(judged);
  const isInForce = isAccepted || isReplaced;
  // Where no agent has been heard of, nothing is in force.
  const isEverywhere = total > 0 && applied >= total;
  const programmed: Condition = !isInForce
    ? { type: 'Programmed', status: 'False', reason: 'Invalid', message: 'not in force anywhere' }
    : {
        type: 'Programmed',
        status: isEverywhere ? 'True' : 'False',
        reason: isEverywhere ? 'Programmed' : 'Pending',
        message: `in force at ${nodes} nodes`,
      };
  return { generation, conditions: [accepted, programmed], nodes };
}

/** Says whether the two differ in more than the number of nodes. */
export function differsInSubstance(a: ObjectStatus, b: ObjectStatus): boolean {
  const substance = ({ generation, conditions }: ObjectStatus): string =>
    JSON.stringify([
      generation,
      conditions.map(({ type, status, reason, message }) =>
        type === 'Programmed' ? [status, reason] : [status, reason, message],
      ),
    ]);
  return substance(a) !== substance(b);
}

function acceptance(warnings: readonly Complaint[]): Condition {
  const base = { type: 'Accepted', status: 'True' } as const;
  return warnings.length === 0
    ? { ...base, reason: 'Accepted', message: 'taken as written' }
    : { ...base, reason: 'AcceptedWithWarnings', message: list(warnings).join('; ') };
}

function refusal({ complaints, isReplaced }: JudgedObject): Condition {
  const instead = isReplaced
    ? 'the strictest policy that it could be holds in its place'
    : 'nothing of it is in force';
  const message = [...list(complaints), instead].join('; ');
  return { type: 'Accepted', status: 'False', reason: 'Invalid', message };
}

function list(complaints: readonly Complaint[]): string[] {
  const shown = complaints.slice(0, MOST_COMPLAINTS).map(({ field, message }) => {
    return `${field}: ${message.slice(0, LONGEST_MESSAGE)}`;
  });
  const more = complaints.length - shown.length;
  return more > 0 ? [...shown, `and ${more} more`] : shown;
}

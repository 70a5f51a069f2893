/**
 * What the capture proof of a pod amounts to: its condition `plumbline.dev/Captured`. Pure.
 *
 * It is true when every direction and family that applies was seen to be captured, false as soon as one
 * was not; a pod to which nothing applies has no condition.
 */
import type { ProofRow } from '#common/control/messages.ts';

export interface CapturedVerdict {
  readonly isCaptured: boolean;
  readonly reason: 'Proven' | 'NotCaptured';
  readonly message: string;
  /** When all of it was last looked at. */
  readonly provenMs: number;
}

type Row = Pick<ProofRow, 'direction' | 'family' | 'outcome' | 'reason' | 'atMs'>;

export function capturedOf(rows: readonly Row[]): CapturedVerdict | undefined {
  const applying = rows.filter(({ outcome }) => outcome !== 'not-applicable');
  if (applying.length === 0) return undefined;
  const provenMs = Math.min(...applying.map(({ atMs }) => atMs));
  const failed = applying.filter(({ outcome }) => outcome === 'not-captured').toSorted(byPlace);
  if (failed.length === 0) {
    const message = applying.toSorted(byPlace).map(placeOf).join(', ');
    return { isCaptured: true, reason: 'Proven', message, provenMs };
  }
  const message = failed.map((row) => `${placeOf(row)}: ${row.reason}`).join('; ');
  return { isCaptured: false, reason: 'NotCaptured', message: message.slice(0, 1000), provenMs };
}

/** Says whether the two say the same, but for the time. */
export function sameVerdict(a: CapturedVerdict, b: CapturedVerdict): boolean {
  return a.isCaptured === b.isCaptured && a.message === b.message;
}

function placeOf({ direction, family }: Row): string {
  return `${direction} IPv${family}`;
}

function byPlace(a: Row, b: Row): number {
  return placeOf(a) < placeOf(b) ? -1 : 1;
}

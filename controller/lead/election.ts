/**
 * Who leads: what a replica concludes from a lease that it reads again and again. Pure.
 *
 * Nobody's clock is compared with another's. A lease has expired when this replica has seen no change
 * of it for its whole duration, by a clock that nobody sets; its holder gives up earlier by itself, so
 * there is a time without a leader between two, and never a time with two.
 */
import type { LeaseRecord, StoredLease } from '../kube/lease-store.ts';

export interface ElectionTimes {
  /** Others take over after this long without a change. */
  readonly durationMs: number;
  /** The holder stops leading when it has not renewed for this long. */
  readonly renewMs: number;
  /** Between two attempts. */
  readonly retryMs: number;
}

export const ELECTION_TIMES: ElectionTimes = {
  durationMs: 15_000,
  renewMs: 10_000,
  retryMs: 2000,
};

/** The lease as it stands, and since when. */
export interface Sighting {
  readonly stored: StoredLease | undefined;
  /** Monotonic: when it was first seen like this. */
  readonly sinceMs: number;
}

/** Takes what was read; what is unchanged keeps its age. */
export function sight(
  before: Sighting | undefined,
  stored: StoredLease | undefined,
  nowMs: number,
): Sighting {
  const isSame = before !== undefined && before.stored?.revision === stored?.revision;
  return isSame ? before : { stored, sinceMs: nowMs };
}

/** Says whether `me` may write itself into the lease now. */
export function mayTake(seen: Sighting, me: string, nowMs: number): boolean {
  const record = seen.stored?.record;
  if (record === undefined || record.holder === '' || record.holder === me) return true;
  return nowMs - seen.sinceMs >= record.durationSeconds * 1000;
}

/** The lease with which `me` takes or keeps it. */
export function taken(
  before: LeaseRecord | undefined,
  me: string,
  { wallMs, durationMs }: { readonly wallMs: number; readonly durationMs: number },
): LeaseRecord {
  const renewTime = microTime(wallMs);
  const isMine = before?.holder === me;
  return {
    holder: me,
    durationSeconds: Math.ceil(durationMs / 1000),
    acquireTime: isMine && before.acquireTime !== '' ? before.acquireTime : renewTime,
    renewTime,
    transitions: (before?.transitions ?? 0) + (isMine || before === undefined ? 0 : 1),
  };
}

/** The lease with which its holder gives it back, so that another need not wait. */
export function released(record: LeaseRecord, wallMs: number): LeaseRecord {
  return { ...record, holder: '', durationSeconds: 1, renewTime: microTime(wallMs) };
}

/** Kubernetes' MicroTime. */
function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '000Z');
}

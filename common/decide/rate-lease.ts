/**
 * Shares of one global rate limit, leased to the waypoints that ask for it.
 *
 * At no moment do the shares that anybody may still be using add up to more than the limit: a share
 * grows only from what others have said they gave back. Who is not heard of keeps its share for
 * `HOLD_BACK_MS`, after which it goes to the others; a waypoint without a controller goes on with the
 * share that it has. So while the controller is away the limit holds exactly, and a waypoint that is
 * cut off from a living controller for longer may add its last share, and no more. A waypoint that
 * has had no lease yet has no share: it is not ready before the first one has come.
 */

/** A share is kept for a holder that is not heard of. */
export const HOLD_BACK_MS = 60_000;
/** What of the limit is divided evenly, whatever the demand: whoever begins to ask has some. */
const EVEN_SHARE = 0.04;
/** Smaller changes are not worth a message, and would never end. */
const CHANGE_MIN = 0.001;

export interface Lease {
  /** Rises with every lease of this holder; to be said back with the next report. */
  readonly serial: number;
  /** Requests for each window of the limit. */
  readonly share: number;
}

export interface DemandReport {
  /** What it was asked for in a window, admitted or not. */
  readonly demand: number;
  /** The lease that it uses; serial 0 and share 0 before the first. */
  readonly using: Lease;
}

interface Holder {
  demand: number;
  heardAtMs: number;
  lease: Lease;
  /** The largest share that it may still be using. */
  held: number;
}

export class LeaseBook {
  readonly #limit: number;
  readonly #holders = new Map<string, Holder>();
  /** Who may be using shares that a controller before this one gave. */
  readonly #awaited: Set<string>;
  readonly #startedMs: number;

  /** `expected` are all that may hold a share already; none grows until they have been heard of. */
  constructor(limit: number, expected: Iterable<string>, nowMs: number) {
    this.#limit = limit;
    this.#awaited = new Set(expected);
    this.#startedMs = nowMs;
  }

  /** What all may be using at this moment. */
  get held(): number {
    let sum = 0;
    for (const { held } of this.#holders.values()) sum += held;
    return sum;
  }

  /** Takes a holder's report and returns the lease that it is to use from now on. */
  report(id: string, { demand, using }: DemandReport, nowMs: number): Lease {
    this.#awaited.delete(id);
    const holder = this.#holders.get(id) ?? { demand, heardAtMs: nowMs, lease: using, held: 0 };
    this.#holders.set(id, holder);
    holder.demand = Math.max(0, demand);
    holder.heardAtMs = nowMs;
    holder.held =
      using.serial === holder.lease.serial ? using.share : Math.max(holder.held, using.share);
    this.#forget(nowMs);
    const free = Math.max(0, this.#limit - this.held + holder.held);
    const most = this.#isComplete(nowMs) ? free : Math.min(free, holder.held);
    const share = Math.min(this.#targets().get(id) ?? 0, most);
    if (Math.abs(share - holder.lease.share) < this.#limit * CHANGE_MIN) return holder.lease;
    holder.lease = { serial: Math.max(holder.lease.serial, using.serial) + 1, share };
    holder.held = Math.max(holder.held, share);
    return holder.lease;
  }

  #isComplete(nowMs: number): boolean {
    return this.#awaited.size === 0 || nowMs - this.#startedMs >= HOLD_BACK_MS;
  }

  #forget(nowMs: number): void {
    for (const [id, { heardAtMs }] of this.#holders) {
      if (nowMs - heardAtMs >= HOLD_BACK_MS) this.#holders.delete(id);
    }
  }

  #targets(): Map<string, number> {
    const demands = Array.from(this.#holders, ([id, { demand }]) => [id, demand] as const);
    return shareOut(this.#limit, demands);
  }
}

/**
 * Divides a limit: a small part evenly, the rest to those who ask for more, nobody more than he
 * asks for as long as another lacks; what nobody asks for is divided evenly again.
 */
export function shareOut(
  limit: number,
  demands: readonly (readonly [id: string, demand: number])[],
): Map<string, number> {
  const shares = new Map<string, number>();
  const even = (limit * EVEN_SHARE) / Math.max(1, demands.length);
  let left = limit - even * demands.length;
  const wanting = demands
    .map(([id, demand]) => ({ id, wants: Math.max(0, demand - even) }))
    .toSorted((a, b) => a.wants - b.wants);
  for (const [i, { id, wants }] of wanting.entries()) {
    const given = Math.min(wants, left / (wanting.length - i));
    shares.set(id, even + given);
    left -= given;
  }
  for (const [id, share] of shares) shares.set(id, share + left / shares.size);
  return shares;
}

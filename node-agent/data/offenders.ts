/**
 * Peers whose tunnels were cut for breaking the rules of HTTP/2, and how long they stay out.
 *
 * A peer is an identity at an address: others of the same node, of the same service account or
 * behind the same address are not held for it. Each offence doubles the time, up to a bound; who
 * behaves for a while is forgotten. An identity is known only after a handshake, which costs more
 * than it seems, so an address with an offender has a budget of handshakes; others there, who keep
 * their tunnels, need few. All is bounded, and at a bound the oldest goes. Pure; the caller has the
 * clock.
 */
import type { Rate } from '#common/http2/limits.ts';
import { RateGuard } from '#common/http2/rate-guard.ts';
import type { Identity } from '#common/identity.ts';

export const FIRST_HOLD_MS = 2_000;
export const LONGEST_HOLD_MS = 30_000;
/** From the end of its last hold. */
export const OFFENDER_MEMORY_MS = 60_000;
export const MOST_OFFENDERS = 4_096;
/** Of an address with an offender that is held. */
export const HANDSHAKES: Rate = { burst: 10, perSecond: 5 };

export interface Peer {
  readonly identity: Identity;
  readonly address: string;
}

interface Offender {
  readonly heldUntil: number;
  readonly holdMs: number;
}

interface Suspect {
  readonly until: number;
  readonly handshakes: RateGuard;
}

export class Offenders {
  /** Both in the order of the last offence. */
  readonly #offenders = new Map<string, Offender>();
  readonly #suspects = new Map<string, Suspect>();

  /** Books an offence; returns for how long its peer is held for it, 0 when it was held already. */
  note(peer: Peer, nowMs: number): number {
    const key = keyOf(peer);
    const known = this.#offenders.get(key);
    const isKnown = known !== undefined && nowMs < known.heldUntil + OFFENDER_MEMORY_MS;
    // Several tunnels that are cut at once are one offence.
    if (isKnown && nowMs < known.heldUntil) return 0;
    const holdMs = isKnown ? Math.min(2 * known.holdMs, LONGEST_HOLD_MS) : FIRST_HOLD_MS;
    const heldUntil = nowMs + holdMs;
    putLast(this.#offenders, key, { heldUntil, holdMs });
    const suspect = this.#suspects.get(peer.address);
    putLast(this.#suspects, peer.address, {
      until: Math.max(heldUntil, suspect?.until ?? 0),
      handshakes: suspect?.handshakes ?? new RateGuard(HANDSHAKES, nowMs),
    });
    return holdMs;
  }

  /** For how long yet the peer may not have a tunnel; 0 when it may. */
  heldMs(peer: Peer, nowMs: number): number {
    const heldUntil = this.#offenders.get(keyOf(peer))?.heldUntil ?? 0;
    return Math.max(0, heldUntil - nowMs);
  }

  /** Whether a handshake with this address may begin now; takes it from its budget. */
  mayShake(address: string, nowMs: number): boolean {
    const suspect = this.#suspects.get(address);
    if (suspect === undefined) return true;
    if (nowMs < suspect.until) return suspect.handshakes.spend(nowMs);
    this.#suspects.delete(address);
    return true;
  }
}

function keyOf({ identity, address }: Peer): string {
  return `${identity} ${address}`;
}

function putLast<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= MOST_OFFENDERS) return;
  const [oldest = key] = map.keys();
  map.delete(oldest);
}

/**
 * Whether the peer still lives: a PING every 10 s, and what its silence means (hbone.md section 1.8).
 *
 * A peer is dead when a PING is out and nothing at all has come for 20 s, so a peer that stops is
 * noticed 20 s later; or when a PING has no answer for 60 s, whatever else it sends. Other bytes
 * count as life in between, since on a slow line our PING may stand behind megabytes of data. Where
 * there is reason to doubt that it lives, 5 s of silence are enough.
 */
export const PING_INTERVAL_MS = 10_000;
export const SILENCE_MS = 20_000;
export const UNANSWERED_MS = 60_000;
/** A peer that is said to be gone has so long to show that it is not. */
export const DOUBT_MS = 5_000;

/** What to do now. */
export type Beat = 'wait' | 'ping' | 'dead';

export class KeepAlive {
  #heardAt: number;
  #pingedAt: number;
  #pinging = false;
  #doubtedAt = Infinity;

  constructor(nowMs: number) {
    this.#heardAt = nowMs;
    this.#pingedAt = nowMs;
  }

  /** Bytes have come. */
  heard(nowMs: number): void {
    this.#heardAt = nowMs;
    this.#doubtedAt = Infinity;
  }

  /** Somebody says that the peer is gone; the caller sends a PING. */
  doubt(nowMs: number): void {
    this.#doubtedAt = Math.min(this.#doubtedAt, nowMs);
  }

  /** Our PING was answered. */
  answered(): void {
    this.#pinging = false;
  }

  /** Decides; after 'ping' the caller has sent one. */
  beat(nowMs: number): Beat {
    if (nowMs - this.#doubtedAt >= DOUBT_MS) return 'dead';
    const sincePing = nowMs - this.#pingedAt;
    if (this.#pinging) {
      const silent = nowMs - this.#heardAt >= SILENCE_MS && sincePing >= SILENCE_MS / 2;
      return silent || sincePing >= UNANSWERED_MS ? 'dead' : 'wait';
    }
    if (sincePing < PING_INTERVAL_MS) return 'wait';
    this.#pinging = true;
    this.#pingedAt = nowMs;
    return 'ping';
  }
}

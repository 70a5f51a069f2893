/**
 * Whether the peer still lives: a PING every 10 s, and what its silence means (hbone.md section 1.8).
 *
 * A peer is dead when a PING is out and nothing at all has come for 20 s, so a peer that stops is
 * noticed 20 s later; or when a PING has no answer for 60 s, whatever else it sends. Other bytes
 * count as life in between, since on a slow line our PING may stand behind megabytes of data.
 */
export const PING_INTERVAL_MS = 10_000;
export const SILENCE_MS = 20_000;
export const UNANSWERED_MS = 60_000;

/** What to do now. */
export type Beat = 'wait' | 'ping' | 'dead';

export class KeepAlive {
  #heardAt: number;
  #pingedAt: number;
  #pinging = false;

  constructor(nowMs: number) {
    this.#heardAt = nowMs;
    this.#pingedAt = nowMs;
  }

  /** Bytes have come. */
  heard(nowMs: number): void {
    this.#heardAt = nowMs;
  }

  /** Our PING was answered. */
  answered(): void {
    this.#pinging = false;
  }

  /** Decides; after 'ping' the caller has sent one. */
  beat(nowMs: number): Beat {
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

/**
 * How the last streams ended, so that frames that were under way are told from faults.
 *
 * At most `MAX_REMEMBERED` are kept; what is forgotten is treated with patience by whoever asks.
 */
import { MAX_REMEMBERED } from '../http2/limits.ts';
import type { Ending } from './open-stream.ts';

export class EndedStreams {
  readonly #endingById = new Map<number, Ending>();

  remember(id: number, how: Ending): void {
    this.#endingById.set(id, how);
    if (this.#endingById.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#endingById.keys();
    if (oldest !== undefined) this.#endingById.delete(oldest);
  }

  /** What is remembered, the oldest first. */
  state(): [number, Ending][] {
    return Array.from(this.#endingById);
  }

  endingOf(id: number): Ending | undefined {
    return this.#endingById.get(id);
  }
}

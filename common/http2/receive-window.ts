/**
 * How much a peer may send us, in one stream or in a whole connection (RFC 9113 section 5.2).
 *
 * A peer never has more under way than the window, and never more unconsumed here than the hold plus
 * the window. A connection's hold is larger than its window: credit comes back on receipt, so that
 * one stalled stream holds back nobody but itself, until so much lies unconsumed in all streams that
 * only what is consumed is given back. A stream has no hold: it gets back what was consumed.
 */
/** Crumbs are not worth announcing even when a connection's hold is nearly full. */
const LEAST_CREDIT = 64 * 1024;

export interface ReceiveWindowState {
  readonly open: number;
  readonly unconsumed: number;
}

export class ReceiveWindow {
  readonly #size: number;
  readonly #hold: number;
  /** What the peer may still send, as it knows. */
  #open: number;
  #unconsumed = 0;

  constructor(size: number, hold: number) {
    this.#size = size;
    this.#hold = hold;
    this.#open = size;
  }

  get unconsumed(): number {
    return this.#unconsumed;
  }

  state(): ReceiveWindowState {
    return { open: this.#open, unconsumed: this.#unconsumed };
  }

  restore({ open, unconsumed }: ReceiveWindowState): void {
    this.#open = open;
    this.#unconsumed = unconsumed;
  }

  /** Books bytes that have come; false when the peer had no right to send them. */
  receive(bytes: number): boolean {
    if (bytes > this.#open) return false;
    this.#open -= bytes;
    this.#unconsumed += bytes;
    return true;
  }

  /** Books bytes as consumed. */
  consume(bytes: number): void {
    this.#unconsumed -= bytes;
  }

  /**
   * Returns the credit to announce now, and books it as announced. It is 0 while it is not worth a
   * frame: less than half of what the peer could have at most.
   */
  credit(): number {
    const target = this.#size - Math.max(0, this.#unconsumed - this.#hold);
    const owed = target - this.#open;
    const worthwhile = (this.#hold === 0 ? this.#size : target) / 2;
    if (owed < Math.max(worthwhile, LEAST_CREDIT)) return 0;
    this.#open = target;
    return owed;
  }
}

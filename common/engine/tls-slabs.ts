/**
 * The memory that all TLS connections of one loop share, lent to one of them at a time.
 *
 * An idle connection therefore has no buffers. `wireIn` and `plain` are in use only while one
 * connection reads, `wireOut` only while one seals; the stage says itself whose bytes it holds.
 */
import { newSlab } from '../sys/slab.ts';
import type { Slab } from '../sys/slab.ts';
import type { Loop } from './loop.ts';
import { Stage, STAGE_BYTES } from './tls-stage.ts';

/** A sealed record: head, 16384 bytes, type, padding by others, tag (RFC 8446 section 5.2). */
export const MAX_RECORD_BODY = 16_384 + 256;
export const MAX_PLAINTEXT = 16_384;
/** How much one read asks for; in front of it stands what is left of an incomplete record. */
export const READ_BYTES = 1 << 18;
const LEFTOVER_BYTES = 5 + MAX_RECORD_BODY;
const RECORD_OVERHEAD = 5 + 1 + 16;
const CONTROL_BYTES = 256;
const MAX_POOLED = 32;
/** Leftovers up to this size are copied as they are, larger ones to a buffer of the pool. */
const SMALL_LEFTOVER = 1024;

export class TlsSlabs {
  readonly stage: Stage;
  readonly wireIn: Slab = newSlab(READ_BYTES + LEFTOVER_BYTES);
  readonly plain: Slab = newSlab(READ_BYTES + LEFTOVER_BYTES);
  readonly wireOut: Slab = newSlab(
    STAGE_BYTES + (STAGE_BYTES / MAX_PLAINTEXT + 2) * RECORD_OVERHEAD + CONTROL_BYTES,
  );
  /** Alerts and KeyUpdates on their way to `wireOut`. */
  readonly control: Slab = newSlab(CONTROL_BYTES);
  readonly #leftovers: Buffer[] = [];

  constructor(loop: Loop) {
    this.stage = new Stage(loop);
  }

  /** Copies the first `length` bytes of `wireIn` to a buffer, which is to be given back. */
  keepLeftover(length: number): Buffer {
    const small = length <= SMALL_LEFTOVER;
    const buffer = small
      ? Buffer.allocUnsafeSlow(length)
      : (this.#leftovers.pop() ?? Buffer.allocUnsafeSlow(LEFTOVER_BYTES));
    this.wireIn.bytes.copy(buffer, 0, 0, length);
    return buffer;
  }

  giveBack(buffer: Buffer): void {
    const pooled = buffer.length === LEFTOVER_BYTES && this.#leftovers.length < MAX_POOLED;
    if (pooled) this.#leftovers.push(buffer);
  }
}

const slabsByLoop = new WeakMap<Loop, TlsSlabs>();

export function slabsOf(loop: Loop): TlsSlabs {
  const known = slabsByLoop.get(loop);
  if (known !== undefined) return known;
  const made = new TlsSlabs(loop);
  slabsByLoop.set(loop, made);
  return made;
}

/**
 * Where plaintext waits for the end of the pass, to be sealed and sent at once.
 *
 * The stage holds the bytes of one connection at a time: a reservation for another one sends off
 * what stands there. Nothing waits longer than the pass in which it was committed.
 */
import { newSlab } from '../sys/slab.ts';
import type { Slab } from '../sys/slab.ts';
import type { Loop, Task } from './loop.ts';

export const STAGE_BYTES = 1 << 18;
/** The record type is written behind the plaintext for the moment of sealing. */
const SPARE_BYTES = 64;

/** A connection whose bytes the stage may hold. */
export interface StageUser {
  /** Seals and sends the first `length` bytes of the stage. Must not throw. */
  sealStaged(stage: Slab, length: number): void;
}

export class Stage implements Task {
  readonly slab: Slab = newSlab(STAGE_BYTES + SPARE_BYTES);
  readonly #loop: Loop;
  #user: StageUser | undefined;
  #length = 0;
  #armed = false;

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  /** Makes room for `length` contiguous bytes and returns where they begin. */
  reserve(user: StageUser, length: number): number {
    if (length > STAGE_BYTES) throw new RangeError(`Cannot stage ${length} bytes at once`);
    if (this.#user !== user || this.#length + length > STAGE_BYTES) this.flush();
    this.#user = user;
    return this.#length;
  }

  /** Keeps the first `length` bytes of what was reserved last. */
  commit(user: StageUser, length: number): void {
    if (user !== this.#user) throw new TypeError('Cannot commit: another connection has the stage');
    this.#length += length;
    if (this.#armed || length === 0) return;
    this.#armed = true;
    this.#loop.atPassEnd(this);
  }

  /** The end of the pass. */
  run(): void {
    this.#armed = false;
    this.flush();
  }

  flush(): void {
    const user = this.#user;
    const length = this.#length;
    this.#user = undefined;
    this.#length = 0;
    if (length > 0) user?.sealStaged(this.slab, length);
  }

  /** Sends off what stands here if it is this user's. */
  flushFor(user: StageUser): void {
    if (this.#user === user) this.flush();
  }

  /** Forgets what stands here if it is this user's. */
  dropFor(user: StageUser): void {
    if (this.#user !== user) return;
    this.#user = undefined;
    this.#length = 0;
  }
}

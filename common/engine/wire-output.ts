/**
 * The sending side of a socket: at once as far as the kernel takes it, the rest in order later.
 */
import { EAGAIN, EINTR } from '../sys/constants.ts';
import { send, shutdownWrite } from '../sys/libc.ts';
import type { Slab } from '../sys/slab.ts';
import { ByteQueue } from './byte-queue.ts';

export class WireOutput {
  readonly queue = new ByteQueue();
  readonly #fd: number;
  #finishing = false;
  #finished = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  get queued(): number {
    return this.queue.length;
  }

  /** Returns 0, or a negated error number that is fatal. */
  send(slab: Slab, at: number, length: number): number {
    let sent = 0;
    if (this.queue.length === 0) {
      const n = send(this.#fd, slab, at, length);
      if (n === length) return 0;
      if (n < 0 && n !== -EAGAIN && n !== -EINTR) return n;
      sent = Math.max(0, n);
    }
    this.queue.append(slab.bytes, at + sent, at + length);
    return 0;
  }

  /** Returns 0, or a negated error number that is fatal. */
  drain(): number {
    const result = this.queue.drain(this.#fd);
    if (result === 0) this.#finishWhenEmpty();
    return result;
  }

  /** Sends a FIN behind everything. */
  finish(): void {
    this.#finishing = true;
    this.#finishWhenEmpty();
  }

  #finishWhenEmpty(): void {
    if (!this.#finishing || this.#finished || this.queue.length > 0) return;
    this.#finished = true;
    shutdownWrite(this.#fd);
  }
}

/**
 * Accepts the connections of one listening socket.
 *
 * A burst is taken in portions, so that connections which already stand get their turn. When the
 * process has run out of descriptors or memory, accepting rests for a while instead of spinning;
 * those who wait stay in the kernel's queue.
 */
import { MeshError } from '../errors.ts';
import {
  EAGAIN,
  ECONNABORTED,
  EINTR,
  EMFILE,
  ENFILE,
  ENOBUFS,
  ENOMEM,
  EPERM,
  EPROTO,
  errnoName,
} from '../sys/constants.ts';
import { accept, closeFd } from '../sys/libc.ts';
import type { Loop, Task, Watcher } from './loop.ts';
import type { Timer } from './timers.ts';

export interface ListenerOwner {
  /** A connection came; the descriptor is the owner's to close. */
  onAccept(fd: number): void;
  /** Accepting rests for `REST_MS`. */
  onExhausted?(error: MeshError): void;
}

const ACCEPTS_PER_EVENT = 64;
export const REST_MS = 100;
const EXHAUSTED = new Set([EMFILE, ENFILE, ENOBUFS, ENOMEM]);
/** The connection that failed is gone; the next one may be fine. */
const SKIPPED = new Set([ECONNABORTED, EPROTO, EPERM, EINTR]);

export class Listener implements Watcher, Task {
  readonly fd: number;
  readonly #loop: Loop;
  readonly #owner: ListenerOwner;
  #rest: Timer | undefined;
  #stopped = false;

  constructor(loop: Loop, fd: number, owner: ListenerOwner) {
    this.fd = fd;
    this.#loop = loop;
    this.#owner = owner;
    loop.addListener(fd, this);
  }

  onEvents(): void {
    for (let i = 0; i < ACCEPTS_PER_EVENT && !this.#stopped; i += 1) {
      const fd = accept(this.fd);
      if (fd >= 0) this.#owner.onAccept(fd);
      else if (fd === -EAGAIN) return;
      else if (!SKIPPED.has(-fd)) {
        this.#pause(fd);
        return;
      }
    }
  }

  /** The end of a rest. */
  run(): void {
    if (!this.#stopped) this.#loop.addListener(this.fd, this);
  }

  /** Stops accepting and leaves the descriptor open, for instance to be handed over. */
  release(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    if (this.#rest !== undefined) this.#loop.timers.cancel(this.#rest);
    this.#loop.remove(this.fd);
  }

  close(): void {
    if (this.#stopped) return;
    this.release();
    closeFd(this.fd);
  }

  #pause(errno: number): void {
    this.#loop.remove(this.fd);
    this.#rest ??= this.#loop.timers.after(REST_MS, this);
    this.#loop.timers.rearm(this.#rest, REST_MS);
    const name = errnoName(errno);
    const code = EXHAUSTED.has(-errno) ? 'LIMIT_REACHED' : 'SYSTEM_CALL_FAILED';
    this.#owner.onExhausted?.(
      new MeshError(code, `Cannot accept a connection: ${name}`, { details: { errno: name } }),
    );
  }
}

/**
 * epoll and eventfd.
 *
 * Each descriptor is registered with a tag that comes back with its events, so that an event which
 * was already reported for a closed descriptor is not taken for one of its successor in number.
 */
import { declare, orErrno } from './native.ts';
import { newSlab } from './slab.ts';

const libc = {
  epoll_create1: declare('epoll_create1', 'int', ['int']),
  epoll_ctl: declare('epoll_ctl', 'int', ['int', 'int', 'int', 'uintptr_t']),
  epoll_wait: declare('epoll_wait', 'int', ['int', 'uintptr_t', 'int', 'int']),
  eventfd: declare('eventfd', 'int', ['uint', 'int']),
  read: declare('read', 'long', ['int', 'uintptr_t', 'size_t']),
  write: declare('write', 'long', ['int', 'uintptr_t', 'size_t']),
  close: declare('close', 'int', ['int']),
};

export const EPOLLIN = 1;
export const EPOLLOUT = 4;
export const EPOLLERR = 8;
export const EPOLLHUP = 0x10;
export const EPOLLRDHUP = 0x2000;
export const EPOLLET = 1 << 31;

const CLOEXEC = 0x80000;
const NONBLOCK = 0x800;
const CTL_ADD = 1;
const CTL_DEL = 2;
const MAX_EVENTS = 256;
/** struct epoll_event in 32-bit words: packed on x64 alone. */
const WORDS = process.arch === 'x64' ? 3 : 4;
const DATA_AT = process.arch === 'x64' ? 1 : 2;

const counter = newSlab(8);

export class Epoll {
  readonly #fd: number;
  readonly #slab = newSlab(MAX_EVENTS * WORDS * 4);
  readonly #words = new Int32Array(this.#slab.bytes.buffer, this.#slab.bytes.byteOffset);
  readonly #one = newSlab(WORDS * 4);
  readonly #oneWords = new Int32Array(this.#one.bytes.buffer, this.#one.bytes.byteOffset);

  constructor() {
    const fd = orErrno(libc.epoll_create1(CLOEXEC));
    if (fd < 0) throw new RangeError(`Cannot make an epoll instance: errno ${-fd}`);
    this.#fd = fd;
  }

  add(fd: number, events: number, tag: number): number {
    this.#oneWords[0] = events;
    this.#oneWords[DATA_AT] = fd;
    this.#oneWords[DATA_AT + 1] = tag;
    return orErrno(libc.epoll_ctl(this.#fd, CTL_ADD, fd, this.#one.address));
  }

  remove(fd: number): number {
    return orErrno(libc.epoll_ctl(this.#fd, CTL_DEL, fd, this.#one.address));
  }

  /** Waits for events and returns how many came; 0 after a signal as after the time-out. */
  wait(timeoutMs: number): number {
    const n = libc.epoll_wait(this.#fd, this.#slab.address, MAX_EVENTS, timeoutMs);
    return Math.max(0, n);
  }

  eventsAt(i: number): number {
    return this.#words[i * WORDS] ?? 0;
  }

  fdAt(i: number): number {
    return this.#words[i * WORDS + DATA_AT] ?? -1;
  }

  tagAt(i: number): number {
    return this.#words[i * WORDS + DATA_AT + 1] ?? -1;
  }

  close(): void {
    libc.close(this.#fd);
  }
}

/** Makes an eventfd: a counter that is readable while it is above 0. */
export function openEvent(): number {
  return orErrno(libc.eventfd(0, CLOEXEC | NONBLOCK));
}

/** Raises an eventfd; any thread of the process may do so. */
export function signalEvent(fd: number): number {
  counter.bytes.writeBigUInt64LE(1n);
  return orErrno(libc.write(fd, counter.address, 8));
}

/** Puts an eventfd back to 0. */
export function clearEvent(fd: number): number {
  return orErrno(libc.read(fd, counter.address, 8));
}

/**
 * A non-blocking TCP socket on the loop.
 *
 * It reads only when its owner asks, right to where the owner wants the bytes, and queues what the
 * kernel does not take; how much may be queued is the owner's to bound (`queued`). The two
 * directions end apart: `endWrite()` sends a FIN behind the queue, and the peer's FIN is a read of
 * 0. `onClosed` comes exactly once, last, and never from within a method that the owner called,
 * other than `destroy`.
 */
import { MeshError } from '../errors.ts';
import { formatEndpoint } from '../address.ts';
import type { Family } from '../address.ts';
import { EAGAIN, EINPROGRESS, EINTR, errnoName } from '../sys/constants.ts';
import { closeFd, connect, recv, sendAt, shutdownWrite } from '../sys/libc.ts';
import { addressOf } from '../sys/slab.ts';
import type { Slab } from '../sys/slab.ts';
import { setReset, socketError } from '../sys/socket-options.ts';
import { ByteQueue } from './byte-queue.ts';
import { HANGUP, READABLE, WRITABLE } from './loop.ts';
import type { Loop, Task, Watcher } from './loop.ts';
import type { Timer } from './timers.ts';

export interface TcpOwner {
  /** Once, for a socket that was still connecting. */
  onConnected?(): void;
  /** There may be something to read: `recvInto` until -EAGAIN or a short read. */
  onReadable(): void;
  /** The queue was not empty and is now. */
  onWritable(): void;
  /** Some of the queue has left, but not all of it. */
  onProgress?(): void;
  onClosed(error: MeshError | undefined): void;
}

/** A socket as plain data, without the bytes that it has queued. */
export interface TcpState {
  /** Where it is still connecting to; '' when it is connected. */
  readonly connecting: string;
  readonly readEnded: boolean;
  readonly writeEnded: boolean;
  readonly finSent: boolean;
}

export class TcpSocket implements Watcher, Task {
  readonly fd: number;
  /** Set when a read returned 0: nothing more will come. */
  readEnded = false;
  readonly #loop: Loop;
  readonly #queue = new ByteQueue();
  #owner: TcpOwner;
  #connecting: boolean;
  #connectTimer: Timer | undefined;
  #target = '';
  #hungUp = false;
  #ending = false;
  #ended = false;
  #closed = false;
  #failure: MeshError | undefined;

  /**
   * Takes over a descriptor, which is closed with the socket. Whoever made it has set TCP_NODELAY, on
   * the listener that it came from if it was accepted, since what is accepted inherits it.
   */
  constructor(loop: Loop, fd: number, owner: TcpOwner, connecting?: ConnectInProgress) {
    this.fd = fd;
    this.#loop = loop;
    this.#owner = owner;
    this.#connecting = connecting !== undefined;
    if (connecting !== undefined) {
      this.#target = connecting.target;
      this.#connectTimer = loop.timers.after(connecting.timeoutMs, {
        run: () => this.destroy(false, timedOut(connecting)),
      });
    }
    loop.add(fd, this);
  }

  /** How many bytes wait for the kernel. */
  get queued(): number {
    return this.#queue.length;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The end of the stream may already be in the socket: read on until 0, not to a short read. */
  get hungUp(): boolean {
    return this.#hungUp;
  }

  /** Whether `endWrite()` was called. */
  get writeEnded(): boolean {
    return this.#ending;
  }

  /** Hands the socket to another owner, for instance when the one that dialled is done. */
  setOwner(owner: TcpOwner): void {
    this.#owner = owner;
  }

  /** Sends `bytes[from, to)`, queueing a copy of what the kernel does not take; returns `queued`. */
  write(bytes: Buffer, from: number, to: number): number {
    if (this.#closed || this.#ending || this.#failure !== undefined) return this.#queue.length;
    let at = from;
    if (this.#queue.length === 0 && !this.#connecting && to > from) {
      const n = sendAt(this.fd, addressOf(bytes) + from, to - from);
      if (n === to - from) return 0;
      if (n >= 0) at += n;
      else if (n !== -EAGAIN && n !== -EINTR) {
        this.#fail(n, 'send');
        return 0;
      }
    }
    if (at < to) this.#queue.append(bytes, at, to);
    return this.#queue.length;
  }

  /** Sends a FIN when everything queued has left. */
  endWrite(): void {
    if (this.#ending || this.#closed) return;
    this.#ending = true;
    this.#finishWrite();
  }

  /** Reads once: a length above 0, 0 for the end of the stream, or a negated error number. */
  recvInto(slab: Slab, offset: number, max: number): number {
    if (this.#closed || this.#connecting) return -EAGAIN;
    const n = recv(this.fd, slab, offset, max);
    if (n > 0) return n;
    if (n === 0) this.readEnded = true;
    else if (n === -EINTR) return this.recvInto(slab, offset, max);
    else if (n !== -EAGAIN) this.#fail(n, 'receive');
    return n;
  }

  /** Closes at once, with a RST if `reset`; what is queued is lost. */
  destroy(reset: boolean, error?: MeshError): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#connectTimer !== undefined) this.#loop.timers.cancel(this.#connectTimer);
    this.#loop.forget(this.fd);
    if (reset) setReset(this.fd);
    closeFd(this.fd);
    this.#queue.clear();
    this.#owner.onClosed(error ?? this.#failure);
  }

  /** All there is beside its descriptor and what it has queued; undefined when it has failed or is closed. */
  state(): TcpState | undefined {
    if (this.#closed || this.#failure !== undefined) return undefined;
    return {
      connecting: this.#connecting ? this.#target : '',
      readEnded: this.readEnded,
      writeEnded: this.#ending,
      finSent: this.#ended,
    };
  }

  /** A copy of what waits for the kernel. */
  queuedBytes(): Buffer {
    return this.#queue.toBuffer();
  }

  /** Goes on where the socket has stopped that `state` was taken from; its events tell the rest. */
  restore(state: TcpState, queued: Buffer): void {
    if (queued.length > 0) this.#queue.append(queued, 0, queued.length);
    this.readEnded = state.readEnded;
    this.#ending = state.writeEnded;
    this.#ended = state.finSent;
  }

  /** Lets go of the socket without a word to peer or owner: another process goes on with it. */
  release(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#connectTimer !== undefined) this.#loop.timers.cancel(this.#connectTimer);
    this.#loop.remove(this.fd);
    closeFd(this.fd);
    this.#queue.clear();
  }

  onEvents(events: number): void {
    if (this.#connecting && !this.#settleConnect(events)) return;
    if ((events & HANGUP) !== 0) this.#hungUp = true;
    if ((events & WRITABLE) !== 0 && this.#queue.length > 0) this.#drain();
    if (this.#closed || this.#failure !== undefined || this.readEnded) return;
    if ((events & (READABLE | HANGUP)) !== 0) this.#owner.onReadable();
  }

  onFault(error: unknown): void {
    this.destroy(true, new MeshError('CONNECT_FAILED', 'Cannot serve a socket', { cause: error }));
  }

  /** Closes after a failure that a method met; see `#fail`. */
  run(): void {
    this.destroy(false);
  }

  #settleConnect(events: number): boolean {
    const error = (events & HANGUP) === 0 ? 0 : socketError(this.fd);
    if (error === 0 && (events & WRITABLE) === 0) return false;
    if (this.#connectTimer !== undefined) this.#loop.timers.cancel(this.#connectTimer);
    this.#connectTimer = undefined;
    if (error !== 0) {
      this.destroy(false, connectFailed(this.#target, error));
      return false;
    }
    this.#connecting = false;
    this.#target = '';
    this.#owner.onConnected?.();
    if (this.#closed) return false;
    this.#drain();
    return !this.#closed;
  }

  #drain(): void {
    const had = this.#queue.length;
    const result = this.#queue.drain(this.fd);
    if (result < 0) {
      this.#fail(result, 'send');
      return;
    }
    if (this.#queue.length > 0) {
      if (this.#queue.length < had) this.#owner.onProgress?.();
      return;
    }
    this.#finishWrite();
    if (had > 0) this.#owner.onWritable();
  }

  #finishWrite(): void {
    if (!this.#ending || this.#ended || this.#connecting || this.#queue.length > 0) return;
    this.#ended = true;
    shutdownWrite(this.fd);
  }

  /** Notes a failure and closes in the next pass: the owner is in the middle of something. */
  #fail(errno: number, attempt: string): void {
    if (this.#failure !== undefined) return;
    const name = errnoName(errno);
    this.#failure = new MeshError('CONNECT_FAILED', `Cannot ${attempt}: ${name}`, {
      details: { errno: name },
    });
    this.#queue.clear();
    this.#loop.soon(this);
  }
}

export interface ConnectInProgress {
  readonly target: string;
  readonly timeoutMs: number;
}

export interface ConnectTo {
  readonly address: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** That of the socket, if the caller knows it. */
  readonly family?: Family;
}

/**
 * Connects a socket that the caller made (and marked, and bound). Whether it works is told by
 * `onConnected` or `onClosed`, never from within this call.
 */
export function connectTcp(loop: Loop, fd: number, to: ConnectTo, owner: TcpOwner): TcpSocket {
  const target = formatEndpoint(to.address, to.port);
  const result = connect(fd, to.address, to.port, to.family);
  const made = new TcpSocket(loop, fd, owner, { target, timeoutMs: to.timeoutMs });
  if (result < 0 && result !== -EINPROGRESS) {
    loop.soon({ run: () => made.destroy(false, connectFailed(target, result)) });
  }
  return made;
}

function connectFailed(target: string, errno: number): MeshError {
  const name = errnoName(errno);
  return new MeshError('CONNECT_FAILED', `Cannot connect to "${target}": ${name}`, {
    details: { target, errno: name },
  });
}

function timedOut({ target, timeoutMs }: ConnectInProgress): MeshError {
  return new MeshError(
    'CONNECT_TIMEOUT',
    `Cannot connect to "${target}": no answer within ${timeoutMs} ms`,
    { details: { target, timeoutMs } },
  );
}

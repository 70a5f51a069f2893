/**
 * A wire over a socket: TCP, or the Unix socket of a link.
 *
 * All wires of a worker read into one slab, which is theirs until `onBytes` returns; so reading never
 * begins within a call of somebody else, but from the loop.
 */
import type { Loop, Task } from '#common/engine/loop.ts';
import { connectTcp, TcpSocket } from '#common/engine/tcp.ts';
import type { ConnectTo, TcpOwner } from '#common/engine/tcp.ts';
import type { Stage, StageUser } from '#common/engine/tls-stage.ts';
import type { MeshError } from '#common/errors.ts';
import { newSlab } from '#common/sys/slab.ts';
import type { Slab } from '#common/sys/slab.ts';
import * as limits from './limits.ts';
import type { Wire, WireOwner } from './wire.ts';

const readSlab: Slab = newSlab(limits.READ_BYTES);

export class TcpWire implements Wire, TcpOwner, StageUser, Task {
  owner: WireOwner;
  readonly #loop: Loop;
  readonly #stage: Stage;
  readonly #socket: TcpSocket;
  #isHeld = false;
  #isWaiting = false;
  #mayRead = false;
  #wasBlocked = false;
  #hasEnded = false;

  /** Takes over a connected descriptor, or one that `connect` was called for. */
  constructor(
    deps: { readonly loop: Loop; readonly stage: Stage },
    fd: number,
    owner: WireOwner,
    to?: ConnectTo,
  ) {
    this.#loop = deps.loop;
    this.#stage = deps.stage;
    this.owner = owner;
    this.#socket =
      to === undefined ? new TcpSocket(deps.loop, fd, this) : connectTcp(deps.loop, fd, to, this);
  }

  get fd(): number {
    return this.#socket.fd;
  }

  get bytes(): Buffer {
    return this.#stage.slab.bytes;
  }

  get queued(): number {
    return this.#socket.queued;
  }

  get closed(): boolean {
    return this.#socket.closed;
  }

  get blocked(): boolean {
    if (this.#socket.queued <= limits.HIGH_WATER_BYTES) return false;
    this.#wasBlocked = true;
    return true;
  }

  reserve(length: number): number {
    return this.#stage.reserve(this, length);
  }

  commit(length: number): void {
    this.#stage.commit(this, length);
  }

  write(bytes: Buffer, from: number, to: number): void {
    const length = to - from;
    if (length <= limits.COPIED_BODY_BYTES) {
      const at = this.reserve(length);
      bytes.copy(this.bytes, at, from, to);
      this.commit(length);
      return;
    }
    this.#stage.flushFor(this);
    this.#socket.write(bytes, from, to);
  }

  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    if (this.#mayRead) this.#readSoon();
  }

  endWrite(): void {
    this.#stage.flushFor(this);
    this.#socket.endWrite();
  }

  destroy(reset: boolean, error?: MeshError): void {
    this.#stage.dropFor(this);
    this.#socket.destroy(reset, error);
  }

  sealStaged(stage: Slab, length: number): void {
    this.#socket.write(stage.bytes, 0, length);
  }

  onReadable(): void {
    if (this.#isHeld || this.#isWaiting) {
      this.#mayRead = true;
      return;
    }
    this.#mayRead = false;
    for (let i = 0; i < limits.READS_PER_TURN; i += 1) {
      const n = this.#socket.recvInto(readSlab, 0, limits.READ_BYTES);
      if (n <= 0) {
        if (n === 0 && !this.#hasEnded) {
          this.#hasEnded = true;
          this.owner.onEnd();
        }
        return;
      }
      this.owner.onBytes(readSlab.bytes, 0, n);
      if (this.#socket.closed) return;
      if (this.#isHeld) {
        this.#mayRead = true;
        return;
      }
      if (n < limits.READ_BYTES && !this.#socket.hungUp) return;
    }
    this.#readSoon();
  }

  /** Its turn has come in a new pass of the loop. */
  run(): void {
    this.#isWaiting = false;
    if (!this.#socket.closed) this.onReadable();
  }

  onProgress(): void {
    if (this.#wasBlocked && this.#socket.queued < limits.LOW_WATER_BYTES) this.onWritable();
  }

  onWritable(): void {
    if (!this.#wasBlocked) return;
    this.#wasBlocked = false;
    this.owner.onDrained();
  }

  onClosed(error: MeshError | undefined): void {
    this.#stage.dropFor(this);
    this.owner.onClosed(error);
  }

  #readSoon(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#loop.soon(this);
  }
}

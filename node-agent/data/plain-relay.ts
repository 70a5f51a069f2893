/**
 * Two TCP sockets joined: what one sends, the other gets, until both have said that it was all.
 *
 * Each direction ends by itself (half-close), and a side that is cut cuts the other the same way: a
 * RST stays a RST. What one side does not take is queued up to a bound, then the other is not read.
 */
import type { MeshError } from '#common/errors.ts';
import type { Loop, Task } from '#common/engine/loop.ts';
import type { TcpOwner, TcpSocket } from '#common/engine/tcp.ts';
import { newSlab } from '#common/sys/slab.ts';
import { socketError } from '#common/sys/socket-options.ts';
import type { Flow } from './flow.ts';
import type { Descriptors, SocketState } from './handover-state.ts';
import * as limits from './limits.ts';
import type { Ending } from './record.ts';

export interface RelayOwner {
  /** Once, when both sockets are closed. */
  onRelayEnd(ending: Ending, error?: MeshError): void;
}

/** One for the thread: what is read is written before anything else is read. */
const slab = newSlab(limits.READ_BYTES);

export class PlainRelay {
  readonly #owner: RelayOwner;
  readonly #client: Side;
  readonly #server: Side;
  #isDone = false;

  constructor(
    loop: Loop,
    flow: Flow,
    sockets: { client: TcpSocket; server: TcpSocket },
    owner: RelayOwner,
  ) {
    this.#owner = owner;
    this.#client = new Side(loop, sockets.client, sockets.server, {
      count: (bytes) => flow.request(bytes),
      onProgress: () => this.#endIfDone(),
      onEmpty: () => this.#server.onReadable(),
      onCut: () => this.#end('reset by source'),
    });
    this.#server = new Side(loop, sockets.server, sockets.client, {
      count: (bytes) => flow.response(bytes),
      onProgress: () => this.#endIfDone(),
      onEmpty: () => this.#client.onReadable(),
      onCut: () => this.#end('reset by destination'),
    });
  }

  /** Both sockets are all there is, and the client's is its owner's. */
  serverState(descriptors: Descriptors): SocketState | undefined {
    return descriptors.socket(this.#server.socket);
  }

  /** Does nothing from here on: another process goes on with it. */
  release(): void {
    this.#isDone = true;
    this.#client.socket.release();
    this.#server.socket.release();
  }

  /** Takes what has come already, on both sides. */
  start(): void {
    this.#client.onReadable();
    this.#server.onReadable();
  }

  cut(error: MeshError): void {
    this.#end('failed', error);
  }

  #endIfDone(): void {
    if (this.#client.isDone && this.#server.isDone) this.#end('closed');
  }

  #end(ending: Ending, error?: MeshError): void {
    if (this.#isDone) return;
    this.#isDone = true;
    const isReset = ending !== 'closed';
    this.#client.socket.destroy(isReset);
    this.#server.socket.destroy(isReset);
    this.#owner.onRelayEnd(ending, error);
  }
}

interface SideDeps {
  readonly count: (bytes: number) => void;
  readonly onProgress: () => void;
  /** What was queued for this side has left. */
  readonly onEmpty: () => void;
  readonly onCut: () => void;
}

/** One socket as a source of bytes for the other. */
class Side implements TcpOwner, Task {
  readonly socket: TcpSocket;
  readonly #loop: Loop;
  readonly #other: TcpSocket;
  readonly #deps: SideDeps;
  #isQueued = false;

  constructor(loop: Loop, socket: TcpSocket, other: TcpSocket, deps: SideDeps) {
    this.#loop = loop;
    this.socket = socket;
    this.#other = other;
    this.#deps = deps;
    socket.setOwner(this);
  }

  /** All that came from here has reached the other. */
  get isDone(): boolean {
    return this.socket.readEnded && this.#other.queued === 0;
  }

  onReadable(): void {
    const { socket } = this;
    if (socket.closed || socket.readEnded) return;
    for (let i = 0; i < limits.READS_PER_TURN; i += 1) {
      if (this.#other.queued >= limits.PLAIN_HIGH_WATER) {
        // Not read, a reset would go unnoticed for as long as the other side is stuck.
        if (socket.hungUp && socketError(socket.fd) > 0) this.#deps.onCut();
        return;
      }
      const n = socket.recvInto(slab, 0, limits.READ_BYTES);
      if (n === 0) {
        this.#other.endWrite();
        this.#deps.onProgress();
        return;
      }
      if (n < 0) return;
      this.#deps.count(n);
      this.#other.write(slab.bytes, 0, n);
      if (n < limits.READ_BYTES && !socket.hungUp) return;
    }
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.#loop.soon(this);
  }

  run(): void {
    this.#isQueued = false;
    this.onReadable();
  }

  onWritable(): void {
    this.#deps.onEmpty();
    this.#deps.onProgress();
  }

  onClosed(): void {
    this.#deps.onCut();
  }
}

/**
 * A TCP socket and a stream of a tunnel joined, until both have said that it was all.
 *
 * Bytes from the socket are received right into the tunnel's stage, behind the room for the frame's
 * head; bytes from the tunnel are sent from where they were decrypted. What the socket does not take
 * waits, and the peer gets no credit for it: so a stalled reader holds back its own stream, and never
 * more than one stream window. Each direction ends by itself; a RST stays a RST.
 */
import { MeshError } from '#common/errors.ts';
import type { Loop, Task } from '#common/engine/loop.ts';
import type { TcpOwner, TcpSocket } from '#common/engine/tcp.ts';
import type { Stream, StreamOwner } from '#common/hbone/stream.ts';
import { CODE } from '#common/http2/frames.ts';
import type { Slab } from '#common/sys/slab.ts';
import { socketError } from '#common/sys/socket-options.ts';
import type { Flow } from './flow.ts';
import type { RelayState } from './handover-state.ts';
import * as limits from './limits.ts';
import type { RelayOwner } from './plain-relay.ts';
import type { Ending } from './record.ts';

export interface StreamRelayDeps {
  readonly loop: Loop;
  /** Where the tunnel's frames are written. */
  readonly stage: Slab;
  readonly stream: Stream;
  readonly socket: TcpSocket;
  readonly flow: Flow;
  readonly owner: RelayOwner;
}

export class StreamRelay implements TcpOwner, StreamOwner, Task {
  readonly #loop: Loop;
  readonly #stage: Slab;
  readonly #stream: Stream;
  readonly #socket: TcpSocket;
  readonly #flow: Flow;
  readonly #owner: RelayOwner;
  readonly #isOutbound: boolean;
  /** Bytes taken from the tunnel for which its peer has no credit yet. */
  #owed = 0;
  #localEnded = false;
  #remoteEnded = false;
  #isWaiting = false;
  #isDone = false;

  constructor({ loop, stage, stream, socket, flow, owner }: StreamRelayDeps) {
    this.#loop = loop;
    this.#stage = stage;
    this.#stream = stream;
    this.#socket = socket;
    this.#flow = flow;
    this.#owner = owner;
    this.#isOutbound = flow.direction === 'outbound';
    stream.owner = this;
    socket.setOwner(this);
  }

  /** All there is beside its socket. */
  state(): RelayState {
    return {
      stream: this.#stream.state(),
      owed: this.#owed,
      localEnded: this.#localEnded,
      remoteEnded: this.#remoteEnded,
    };
  }

  /** Takes the place of `start` in a relay that goes on: events come by themselves. */
  restore(state: Omit<RelayState, 'stream'>): void {
    this.#owed = state.owed;
    this.#localEnded = state.localEnded;
    this.#remoteEnded = state.remoteEnded;
  }

  /** Does nothing from here on: another process goes on with it. */
  release(): void {
    this.#isDone = true;
    this.#socket.release();
  }

  /** Takes what the socket has already. */
  start(): void {
    this.onReadable();
  }

  /** Takes note of what came from the tunnel, and went to the socket, before the relay was made. */
  adopt(bytes: number, hasEnded: boolean): void {
    this.#count(bytes, !this.#isOutbound);
    this.#owed += bytes;
    this.#credit();
    if (hasEnded) this.onEnd();
  }

  /** Ends both sides at once: neither shall take it for a regular end. */
  cut(error: MeshError): void {
    if (this.#isDone) return;
    this.#stream.reset(CODE.connectError);
    this.#end('failed', error);
  }

  onReadable(): void {
    if (this.#isDone || this.#localEnded || this.#isWaiting) return;
    for (let i = 0; i < limits.READS_PER_TURN; i += 1) {
      const room = this.#stream.sendRoom();
      if (room <= 0) {
        this.#noticeReset();
        return;
      }
      const max = room < limits.STREAM_READ_BYTES ? room : limits.STREAM_READ_BYTES;
      const at = this.#stream.beginData(max);
      const n = this.#socket.recvInto(this.#stage, at, max);
      if (n > 0) {
        this.#stream.endData(n, false);
        this.#count(n, this.#isOutbound);
        if (n < max && !this.#socket.hungUp) return;
      } else {
        this.#stream.endData(0, n === 0);
        if (n === 0) {
          this.#localEnded = true;
          this.#endIfDone();
        }
        return;
      }
    }
    this.#isWaiting = true;
    this.#loop.soon(this);
  }

  /** Its turn has come in a new pass of the loop. */
  run(): void {
    this.#isWaiting = false;
    this.onReadable();
  }

  onResponse(): void {
    // It has come before there was a relay.
  }

  onSendRoom(): void {
    this.onReadable();
  }

  onData(bytes: Buffer, from: number, to: number): void {
    if (this.#isDone) return;
    this.#count(to - from, !this.#isOutbound);
    this.#owed += to - from;
    this.#socket.write(bytes, from, to);
    this.#credit();
  }

  onEnd(): void {
    if (this.#isDone) return;
    this.#remoteEnded = true;
    // The last word: closing says FIN by itself.
    if (this.#localEnded && this.#socket.queued === 0) this.#end('closed');
    else this.#socket.endWrite();
  }

  onReset(code: number): void {
    if (this.#isDone) return;
    if (code === CODE.noError || code === CODE.cancel) {
      // An end, as upstream has it: what came before still goes to the socket, then a FIN.
      this.#localEnded = true;
      this.#remoteEnded = true;
      this.#socket.endWrite();
      this.#endIfDone();
      return;
    }
    this.#end(this.#isOutbound ? 'reset by destination' : 'reset by source');
  }

  onLost(error: MeshError): void {
    this.#end(
      'failed',
      new MeshError('TUNNEL_LOST', 'Cannot go on: the tunnel is gone', { cause: error }),
    );
  }

  /** Some of what was queued has left. */
  onProgress(): void {
    this.#credit();
  }

  onWritable(): void {
    this.#credit();
    this.#endIfDone();
  }

  onClosed(): void {
    if (this.#isDone) return;
    this.#stream.reset(CODE.connectError);
    this.#end(this.#isOutbound ? 'reset by source' : 'reset by destination');
  }

  /** Gives credit for what the socket has taken. */
  #credit(): void {
    const { queued } = this.#socket;
    const taken = this.#owed - queued;
    if (taken <= 0) return;
    this.#owed = queued;
    this.#stream.consumed(taken);
  }

  #count(bytes: number, isRequest: boolean): void {
    if (isRequest) this.#flow.request(bytes);
    else this.#flow.response(bytes);
  }

  /** A socket that is not read does not tell of a reset by itself. */
  #noticeReset(): void {
    if (this.#socket.hungUp && socketError(this.#socket.fd) > 0) this.onClosed();
  }

  #endIfDone(): void {
    if (this.#localEnded && this.#remoteEnded && this.#socket.queued === 0) this.#end('closed');
  }

  #end(ending: Ending, error?: MeshError): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#socket.destroy(ending !== 'closed');
    this.#owner.onRelayEnd(ending, error);
  }
}

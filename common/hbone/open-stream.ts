/**
 * The state of one stream, for the session that holds it; users see it as `Stream`.
 *
 * A stream is closed when both directions have ended, or at once by a reset or by the end of its
 * session, and says so to its session exactly once. Bytes stay booked at the connection until they
 * are consumed, or until the stream is cut, whichever comes first: none is booked for good.
 */
import { CODE } from '../http2/frames.ts';
import type { HeaderSource } from '../http2/hpack-encoder.ts';
import { STREAM_WINDOW } from '../http2/limits.ts';
import { ReceiveWindow } from '../http2/receive-window.ts';
import type { MeshError } from '../errors.ts';
import { encodeResponse, responseBytes, type ConnectResponse } from './headers.ts';
import type { Sender, SendSide } from './send-side.ts';
import type { StreamState } from './session-state.ts';
import type { Stream, StreamOwner } from './stream.ts';

/** How a stream came to its end; decides what a late frame for it means. */
export type Ending = 'ended' | 'reset' | 'peerReset';

export interface StreamHost {
  readonly send: SendSide;
  /** Bytes of a stream are no longer held. */
  onConsumed(bytes: number): void;
  onEnded(stream: OpenStream, how: Ending): void;
  /** The peer broke a rule in a stream, which is to be reset for it. */
  onFault(stream: OpenStream, code: number): void;
}

export class OpenStream implements Stream, Sender {
  readonly id: number;
  owner: StreamOwner | undefined;
  sendWindow: number;
  waiting = false;
  /** The final HEADERS have gone out (server) or come in (client). */
  answered = false;
  localEnded = false;
  remoteEnded = false;
  /** The request that is being handled ends the peer's direction; `onEnd` follows. */
  endsAtOnce = false;
  closed = false;
  /** Bytes of content that must still come before the peer's end; -1 when it has not said. */
  contentLeft = -1;
  readonly #host: StreamHost;
  readonly #received = new ReceiveWindow(STREAM_WINDOW, 0);
  /** Booked bytes of the frame at hand that have not come yet. */
  #undelivered = 0;
  /** Where the payload that is being written begins. */
  #dataAt = 0;
  /** What came is of no use to anybody any more. */
  #cut = false;

  constructor(id: number, host: StreamHost) {
    this.id = id;
    this.#host = host;
    this.sendWindow = host.send.peer.initialWindow;
  }

  get unconsumed(): number {
    return this.#received.unconsumed - this.#undelivered;
  }

  /** A stream that goes on where the one has stopped that `state` was taken from. */
  static restored(state: StreamState, host: StreamHost): OpenStream {
    const stream = new OpenStream(state.id, host);
    stream.sendWindow = state.sendWindow;
    stream.answered = state.answered;
    stream.localEnded = state.localEnded;
    stream.remoteEnded = state.remoteEnded;
    stream.closed = state.closed;
    stream.#cut = state.cut;
    stream.#undelivered = state.undelivered;
    stream.#received.restore(state.received);
    return stream;
  }

  state(): StreamState {
    const { id, sendWindow, answered, localEnded, remoteEnded, closed } = this;
    return {
      id,
      sendWindow,
      answered,
      localEnded,
      remoteEnded,
      closed,
      cut: this.#cut,
      undelivered: this.#undelivered,
      received: this.#received.state(),
    };
  }

  respond(status: number, response: ConnectResponse = {}): void {
    if (this.closed) return;
    if (this.answered) throw new RangeError('Cannot answer a stream twice');
    this.answered = true;
    const opens = status >= 200 && status <= 299;
    this.#host.send.headers(this.id, responseBytes(response), !opens, (encoder) => {
      encodeResponse(encoder, status, response);
    });
    if (opens) return;
    this.localEnded = true;
    // The peer need send no more, and must not keep the stream by never ending it.
    if (this.remoteEnded || this.endsAtOnce) this.#close('ended');
    else this.reset(CODE.noError);
  }

  sendHeaders(
    what: 'inform' | 'final' | 'trailers',
    source: HeaderSource,
    endStream: boolean,
  ): void {
    if (this.closed || this.localEnded) return;
    if (what === 'final') this.answered = true;
    const ends = endStream || what === 'trailers';
    this.#host.send.headersOf(this.id, source, ends);
    if (ends) this.#endLocal();
  }

  sendRoom(): number {
    return this.closed || this.localEnded ? 0 : this.#host.send.room(this);
  }

  beginData(max: number): number {
    this.#dataAt = this.#host.send.beginData(max);
    return this.#dataAt;
  }

  endData(length: number, endStream: boolean): void {
    if (length === 0 && !endStream) return;
    if (this.closed || this.localEnded) return;
    this.#host.send.endData(this, this.#dataAt, length, endStream);
    if (endStream) this.#endLocal();
  }

  sendEnd(): void {
    if (this.closed || this.localEnded) return;
    this.beginData(0);
    this.endData(0, true);
  }

  reset(code: number): void {
    if (!this.closed) {
      this.#host.send.rstStream(this.id, code);
      this.#close('reset');
    }
    this.#drop();
  }

  consumed(bytes: number): void {
    if (this.#cut) return;
    if (bytes > this.unconsumed)
      throw new RangeError(`Cannot consume ${bytes} bytes: not received`);
    this.#received.consume(bytes);
    this.#host.onConsumed(bytes);
    if (this.remoteEnded || this.closed) return;
    const credit = this.#received.credit();
    if (credit > 0) this.#host.send.windowUpdate(this.id, credit);
  }

  onRoom(): void {
    if (!this.closed && !this.localEnded) this.owner?.onSendRoom();
  }

  /** Books a DATA frame; false when the peer went beyond the window. */
  receive(length: number): boolean {
    if (!this.#received.receive(length)) return false;
    this.#undelivered = length;
    return true;
  }

  /** Hands on data, unless the stream was cut while its frame was under way. */
  deliver(bytes: Buffer, from: number, to: number): void {
    if (this.#cut) return;
    if (this.contentLeft >= 0) {
      this.contentLeft -= to - from;
      if (this.contentLeft < 0) {
        this.#host.onFault(this, CODE.protocolError);
        return;
      }
    }
    this.#undelivered -= to - from;
    if (this.owner === undefined) this.consumed(to - from);
    else this.owner.onData(bytes, from, to);
  }

  /** Gives back the padding of the frame at hand. */
  skip(padding: number): void {
    if (this.#cut) return;
    this.#undelivered -= padding;
    this.consumed(padding);
  }

  /** The peer has ended its direction. */
  endRemote(): void {
    if (this.closed || this.remoteEnded) return;
    if (this.contentLeft > 0) {
      this.#host.onFault(this, CODE.protocolError);
      return;
    }
    this.remoteEnded = true;
    this.owner?.onEnd();
    if (this.localEnded) this.#close('ended');
  }

  /** The peer has reset the stream. */
  resetByPeer(code: number): void {
    this.#close('peerReset');
    this.#drop();
    this.owner?.onReset(code);
  }

  /** The peer broke a rule in this stream. */
  fault(code: number): void {
    this.reset(code);
    this.owner?.onReset(code);
  }

  /** The session is dead; nothing is sent and nothing is booked any more. */
  lose(error: MeshError): void {
    if (this.closed) return;
    this.closed = true;
    this.#cut = true;
    this.waiting = false;
    this.owner?.onLost(error);
  }

  #endLocal(): void {
    this.localEnded = true;
    if (this.remoteEnded) this.#close('ended');
  }

  #close(how: Ending): void {
    if (this.closed) return;
    this.closed = true;
    this.waiting = false;
    this.#host.onEnded(this, how);
  }

  #drop(): void {
    if (this.#cut) return;
    this.#cut = true;
    this.#undelivered = 0;
    const held = this.#received.unconsumed;
    if (held > 0) this.#host.onConsumed(held);
  }
}

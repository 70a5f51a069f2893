/**
 * One tunnelled connection as its user sees it.
 *
 * Data may be sent while `sendRoom()` says so, and what has come must be given back by `consumed`
 * once it has left for the far side; that is all the back-pressure there is. Each direction ends by
 * itself. Whatever ends a stream, its owner hears it once: `onReset` or `onLost`, or both `onEnd` and
 * its own `sendEnd`; after `reset()` it hears nothing.
 */
import type { MeshError } from '../errors.ts';
import type { HeaderSource } from '../http2/hpack-encoder.ts';
import type { HttpMessage } from '../http2/http-message.ts';
import type { Header } from '../http2/static-table.ts';
import type { ConnectResponse } from './headers.ts';
import type { StreamState } from './session-state.ts';

export interface StreamOwner {
  /** Client: the answer to the CONNECT. Data follows only a 2xx. */
  onResponse(status: number, response: ConnectResponse): void;
  /** Client of a session of requests: a response, or one that only informs; data follows a final one. */
  onHead?(message: HttpMessage, endStream: boolean): void;
  /** Session of requests: the fields that end the peer's direction; `onEnd` follows. */
  onTrailers?(fields: readonly Header[]): void;
  /** Bytes came; they are lent for this call only. */
  onData(bytes: Buffer, from: number, to: number): void;
  /** The peer sends no more. */
  onEnd(): void;
  /** The stream is gone: the peer reset it, or we did for a fault of the peer's. */
  onReset(code: number): void;
  /** `sendRoom()` had been 0 and may be more now. */
  onSendRoom(): void;
  /** The stream is gone with its session. */
  onLost(error: MeshError): void;
}

export interface Stream {
  readonly id: number;
  /** Set by the user, in `onRequest` or after `open`; without one, data is dropped. */
  owner: StreamOwner | undefined;
  /** We have sent our end. */
  readonly localEnded: boolean;
  /** The peer has sent its end. */
  readonly remoteEnded: boolean;
  /** Nothing can be sent or received any more. */
  readonly closed: boolean;
  /** Bytes received that `consumed` was not yet told of. */
  readonly unconsumed: number;
  /** Server: answers the CONNECT. Any status but 2xx also ends the stream. */
  respond(status: number, response?: ConnectResponse): void;
  /**
   * Session of requests: sends a header list. One that informs leaves all open, the final one begins
   * the response (server), trailers end our direction, and so does `endStream`.
   */
  sendHeaders(
    what: 'inform' | 'final' | 'trailers',
    source: HeaderSource,
    endStream: boolean,
  ): void;
  /**
   * How many bytes may be sent at once: windows, the peer's frame size, and an outlet that is not
   * blocked. When it is 0, `onSendRoom` follows as soon as it may be more.
   */
  sendRoom(): number;
  /** Returns where in `outlet.bytes` up to `max` (at most `sendRoom()`) payload bytes may be put. */
  beginData(max: number): number;
  /** Sends so many of them as one DATA frame; with 0 and no end, sends nothing. */
  endData(length: number, endStream: boolean): void;
  /** Ends our direction. */
  sendEnd(): void;
  /** Cuts the stream; afterwards what was not consumed counts as consumed. */
  reset(code: number): void;
  /** Gives back bytes that the far side has taken; also after the stream has ended. */
  consumed(bytes: number): void;
  /** All there is to the stream, between two passes of the loop. */
  state(): StreamState;
}

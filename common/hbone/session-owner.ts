/** What a session is given, and what it tells. */
import type { MeshError } from '../errors.ts';
import type { HttpMessage } from '../http2/http-message.ts';
import type { Rates } from '../http2/limits.ts';
import type { ConnectRequest, InvalidRequest } from './headers.ts';
import type { Outlet } from './outlet.ts';
import type { Role } from './stream-table.ts';
import type { Stream } from './stream.ts';

export interface SessionOwner {
  /** The peer's SETTINGS came: with TLS 1.3 the first sign that it accepted our certificate. */
  onReady(): void;
  /** Server: a CONNECT, or a request that should be answered with 400. Set the stream's owner here. */
  onRequest(stream: Stream, request: ConnectRequest | InvalidRequest): void;
  /** Server of ordinary requests: one came. Set the stream's owner here. */
  onMessage?(stream: Stream, message: HttpMessage, endStream: boolean): void;
  /** The peer takes no new streams; those that are open go on. */
  onGoAway(code: number): void;
  /** The last open stream has ended. */
  onIdle(): void;
  /** The session is dead: close the transport once the outlet has been sent. */
  onError(error: MeshError): void;
  /** A stream has ended, or the peer allows more of them: `room()` may have grown. */
  onRoom?(): void;
}

export interface SessionLimits {
  /** Streams that a client may have open at our server. */
  readonly maxStreams: number;
  readonly rates: Rates;
}

export interface SessionDeps {
  readonly role: Role;
  readonly outlet: Outlet;
  readonly owner: SessionOwner;
  /** Milliseconds that never go back. */
  readonly now: () => number;
  readonly limits?: Partial<SessionLimits>;
  /** CONNECT streams (the default), or HTTP with heads, content and trailers. */
  readonly carries?: 'tunnels' | 'requests';
}

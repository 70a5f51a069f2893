/**
 * A connection as bytes, whatever carries it: TCP, or a stream of a link.
 *
 * What is written waits in a stage until the end of the loop pass, so that a head, its content and
 * what answers other messages of the same connection leave in one send; large pieces go straight from
 * where they stand. `blocked` says that so much waits for the peer that nothing should be added that
 * can wait. A wire is the outlet of an HTTP/2 session as it is. `onClosed` comes once, last.
 */
import type { MeshError } from '#common/errors.ts';
import type { Outlet } from '#common/hbone/outlet.ts';

export interface WireOwner {
  /** Bytes came; they are lent for this call only. */
  onBytes(bytes: Buffer, from: number, to: number): void;
  /** The peer sends no more. */
  onEnd(): void;
  /** It was blocked and is no longer. */
  onDrained(): void;
  onClosed(error: MeshError | undefined): void;
}

export interface Wire extends Outlet {
  owner: WireOwner;
  /** Bytes that the peer has not taken yet. */
  readonly queued: number;
  readonly closed: boolean;
  /** Sends `bytes[from, to)` behind all that was written before. */
  write(bytes: Buffer, from: number, to: number): void;
  /** Takes no bytes of the peer until `release()`; a little may still come. */
  hold(): void;
  release(): void;
  /** Ends our direction behind all that was written. */
  endWrite(): void;
  /** Cuts the connection at once; the owner hears `onClosed`, perhaps within this call. */
  destroy(reset: boolean, error?: MeshError): void;
}

/** What the owner of a TLS connection is told, and what it says when it makes one. */
import type { MeshError } from '../errors.ts';
import type { Loop } from './loop.ts';
import type { TlsContext } from './tls-context.ts';
import type { PeerCertificate } from './tls-peer.ts';
import type { TlsState } from './tls-state.ts';

export interface TlsOwner {
  /** The handshake is complete; false refuses the peer. Writing is allowed from here on. */
  onSecure(peer: PeerCertificate): boolean;
  /** Decrypted bytes, lent for the call only. */
  onPlain(bytes: Buffer, from: number, to: number): void;
  /** It was blocked and is not any more. */
  onWritable(): void;
  /** Undefined for a `close_notify` of the peer's or an end of our own. */
  onClosed(error: MeshError | undefined): void;
}

export interface TlsOptions {
  readonly loop: Loop;
  /** Connected or still connecting; it is closed with the connection. */
  readonly fd: number;
  readonly role: 'client' | 'server';
  /** Who we are; or, for a connection taken over, its state (`onSecure` then never comes). */
  readonly context: TlsContext | TlsState;
  readonly owner: TlsOwner;
  /** For connecting and the handshake together. */
  readonly handshakeTimeoutMs: number;
  /** For tests: after how many records new keys are taken. */
  readonly recordsPerKey?: number;
}

/**
 * All there is to a TLS connection after its handshake, as plain data.
 *
 * Together with the descriptor this is enough for another process to go on with it. It holds
 * traffic secrets: it goes to the agent's own successor and nowhere else.
 */
import type { Suite } from '../sys/ssl-handshake.ts';
import type { PeerCertificate } from './tls-peer.ts';

export interface TlsState {
  readonly version: 1;
  readonly role: 'client' | 'server';
  readonly suite: Suite;
  readonly peer: PeerCertificate;
  /** Secrets and bytes in base64. */
  readonly sendSecret: string;
  readonly sendSequence: number;
  readonly receiveSecret: string;
  readonly receiveSequence: number;
  /** The beginning of a record whose rest has not come. */
  readonly leftover: string;
  /** Sealed bytes that the kernel has not taken. */
  readonly queued: string;
}

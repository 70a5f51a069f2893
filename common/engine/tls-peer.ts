/**
 * Who is at the other end of a TLS connection.
 *
 * The identity is the one URI of the peer's certificate. With two, a check and a lookup could each
 * see another, so a certificate with more than one, or with one that is no SPIFFE ID of a
 * workload, has no identity.
 */
import { createHash } from 'node:crypto';
import { parseIdentity } from '../identity.ts';
import type { Identity } from '../identity.ts';
import { readCertificate } from './tls-certificate.ts';

export interface PeerCertificate {
  /** Every URI of the subject alternative name. */
  readonly uris: readonly string[];
  /** SHA-256 of the DER, in hex. */
  readonly fingerprint: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

/** Reads a peer's leaf; undefined when it cannot be read or is an authority's own certificate. */
export function peerOfCertificate(der: Buffer): PeerCertificate | undefined {
  const facts = readCertificate(der);
  if (facts === undefined || facts.isAuthority) return undefined;
  const fingerprint = createHash('sha256').update(der).digest('hex');
  return { uris: facts.uris, fingerprint, notAfter: facts.notAfter };
}

export function peerIdentity(peer: PeerCertificate): Identity | undefined {
  const [uri, ...others] = peer.uris;
  return uri === undefined || others.length > 0 ? undefined : parseIdentity(uri);
}

/**
 * Gets one certificate from the controller: makes a key, asks, and believes the answer only after
 * checking it as a peer would.
 *
 * The key is new for every certificate and never leaves this process but for the key files.
 */
import { createPrivateKey } from 'node:crypto';
import type { CertificateIssued } from '#common/control/messages.ts';
import { MeshError } from '#common/errors.ts';
import type { Identity } from '#common/identity.ts';
import { identityIn, type Credentials } from '#common/tls/certificate.ts';
import { makeRequest } from '#common/tls/csr.ts';
import { verifyChain } from '#common/tls/trust.ts';

export interface IssueDeps {
  readonly request: (
    identity: Identity,
    csrPem: string,
    signal: AbortSignal,
  ) => Promise<CertificateIssued>;
  /** PEM; those that peers are verified against. */
  readonly roots: () => readonly string[];
  readonly now: () => number;
}

/** Returns new credentials of `identity`; throws the refusal, or why the answer is not believed. */
export async function issueCredentials(
  { request, roots, now }: IssueDeps,
  identity: Identity,
  signal: AbortSignal,
): Promise<Credentials> {
  const { keyPem, csrPem } = makeRequest(identity);
  const { chain } = await request(identity, csrPem, signal);
  return readCredentials({ identity, chainPem: chain, keyPem }, roots(), now());
}

/** Checks a chain and its key, from the controller or from a file. */
export function readCredentials(
  { identity, chainPem, keyPem }: Pick<Credentials, 'identity' | 'chainPem' | 'keyPem'>,
  roots: readonly string[],
  nowMs: number,
): Credentials {
  const { leaf, authority } = verifyChain(chainPem, roots, nowMs);
  const named = identityIn(leaf);
  if (named !== identity) {
    const message = `Cannot use a certificate for "${identity}": it names "${leaf.uris.join(' ')}"`;
    throw new MeshError('CERTIFICATE_INVALID', message);
  }
  if (!leaf.x509.checkPrivateKey(createPrivateKey(keyPem))) {
    const message = `Cannot use a certificate for "${identity}": it is not for our key`;
    throw new MeshError('CERTIFICATE_INVALID', message);
  }
  const { notBeforeMs, notAfterMs } = leaf;
  return { identity, chainPem, keyPem, authority, notBeforeMs, notAfterMs };
}

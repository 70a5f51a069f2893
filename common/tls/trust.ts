/**
 * Roots, chains, and whether a chain leads to one of the roots.
 *
 * A chain of ours is always a leaf, an issuing certificate and a root; anything longer is refused. A
 * set of roots holds at least one; during a rotation it holds the old and the new.
 */
import { MeshError } from '../errors.ts';
import { readCertificate, type CertificateFacts } from './certificate.ts';

/** More roots than any rotation needs at once. */
const MOST_CERTIFICATES = 16;
const LONGEST_PEM = 256 * 1024;
const BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/**
 * Name of the controller's own server certificate. No workload identity has this shape, so no request
 * can ever lead to a certificate that passes for it.
 */
export function controllerUri(trustDomain: string): string {
  return `spiffe://${trustDomain}/plumbline/controller`;
}

const CONTROLLER_SHAPE = /^spiffe:\/\/[a-z0-9._-]{1,255}\/plumbline\/controller$/;

/** Says whether a certificate, already verified against the roots, is the controller's. */
export function isController(facts: CertificateFacts): boolean {
  const [uri = '', ...more] = facts.uris;
  return more.length === 0 && facts.otherNames === 0 && CONTROLLER_SHAPE.test(uri);
}

/** Takes a PEM file apart; text between blocks is ignored, as everywhere. */
export function splitPem(pem: string): string[] {
  if (pem.length > LONGEST_PEM) {
    throw new MeshError('CERTIFICATE_INVALID', 'Cannot read certificates: the PEM is too long');
  }
  const blocks = (pem.match(BLOCK) ?? []).map((block) => `${block}\n`);
  if (blocks.length > MOST_CERTIFICATES) {
    const found = `${blocks.length} certificates, more than ${MOST_CERTIFICATES}`;
    throw new MeshError('CERTIFICATE_INVALID', `Cannot read certificates: ${found}`);
  }
  return blocks;
}

/** Reads root certificates; throws when there is none, or one that is no CA certificate. */
export function readRoots(pems: readonly string[]): CertificateFacts[] {
  const roots = pems.flatMap(splitPem).map(readCertificate);
  if (roots.length === 0) {
    throw new MeshError('CERTIFICATE_INVALID', 'Cannot read roots: there is no certificate');
  }
  const leaf = roots.find(({ isCa }) => !isCa);
  if (leaf !== undefined) {
    const message = `Cannot take "${leaf.fingerprint}" as a root: it is no CA certificate`;
    throw new MeshError('CERTIFICATE_INVALID', message);
  }
  return roots;
}

/** How the agent and the controller name a root: SHA-256 of its DER, in hex. */
export function authorityOf(rootPem: string): string {
  return readCertificate(rootPem).fingerprint;
}

export interface VerifiedChain {
  readonly leaf: CertificateFacts;
  /** `authorityOf` the root that the chain leads to. */
  readonly authority: string;
}

/** Verifies leaf and issuing certificate against the roots at `nowMs`; throws `CERTIFICATE_INVALID`. */
export function verifyChain(
  chainPem: string,
  rootPems: readonly string[],
  nowMs: number,
): VerifiedChain {
  const [leaf, issuing, ...rest] = splitPem(chainPem).map(readCertificate);
  if (leaf === undefined || issuing === undefined || rest.length > 0) {
    throw broken('it must be a leaf and its issuing certificate');
  }
  if (leaf.isCa || !issuing.isCa) throw broken('the wrong one is a CA certificate');
  if (!isIssued(leaf, issuing)) throw broken('the leaf is not signed by the issuing certificate');
  const root = readRoots(rootPems).find((one) => isIssued(issuing, one));
  if (root === undefined) throw broken('it leads to none of the roots');
  for (const one of [leaf, issuing, root]) {
    if (nowMs < one.notBeforeMs) throw broken('it is not valid yet; is a clock wrong?');
    if (nowMs > one.notAfterMs) throw broken('it has expired');
  }
  return { leaf, authority: root.fingerprint };
}

function isIssued(child: CertificateFacts, parent: CertificateFacts): boolean {
  return child.x509.checkIssued(parent.x509) && child.x509.verify(parent.x509.publicKey);
}

function broken(found: string): MeshError {
  return new MeshError('CERTIFICATE_INVALID', `Cannot trust a certificate chain: ${found}`);
}

/**
 * What we need to know of an X.509 certificate, read from its DER.
 *
 * Names come from our own walk of the subjectAltName, never from a printed form: a URI with an
 * embedded NUL, comma or quote stays what it is, and so is no identity.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { MeshError } from '../errors.ts';
import { parseIdentity, type Identity } from '../identity.ts';
import { childrenOf, expectTag, readElement, readOid, TAG, type Element } from './der-read.ts';
import { OID, USAGE } from './der-write.ts';

/** Far above ours (700 bytes), below what costs anything. */
const LONGEST_CERTIFICATE_BYTES = 16_384;
/** `[6]` in GeneralName: uniformResourceIdentifier. */
const URI_TAG = 0x86;

/** A workload certificate with its private key, as a data plane needs it. */
export interface Credentials {
  readonly identity: Identity;
  /** PEM: the leaf, then the issuing certificate. */
  readonly chainPem: string;
  readonly keyPem: string;
  /** `authorityOf` the root above it. */
  readonly authority: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface CertificateFacts {
  readonly x509: X509Certificate;
  readonly isCa: boolean;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SHA-256 of the DER, in hex. */
  readonly fingerprint: string;
  readonly serial: string;
  /** All URI names, byte for byte. */
  readonly uris: readonly string[];
  /** Names of other kinds in the subjectAltName. */
  readonly otherNames: number;
}

/** Reads one certificate in PEM or DER; throws `CERTIFICATE_INVALID`. */
export function readCertificate(input: string | Buffer): CertificateFacts {
  if (input.length > LONGEST_CERTIFICATE_BYTES * 2) {
    throw new MeshError('CERTIFICATE_INVALID', 'Cannot read a certificate: it is too long');
  }
  let x509: X509Certificate;
  try {
    x509 = new X509Certificate(input);
  } catch (cause) {
    throw new MeshError('CERTIFICATE_INVALID', 'Cannot read a certificate: not X.509', { cause });
  }
  const names = alternativeNames(x509.raw);
  return {
    x509,
    isCa: x509.ca,
    notBeforeMs: x509.validFromDate.getTime(),
    notAfterMs: x509.validToDate.getTime(),
    fingerprint: fingerprintOf(x509.raw),
    serial: x509.serialNumber.toLowerCase(),
    uris: names
      .filter(({ tag }) => tag === URI_TAG)
      .map(({ content }) => content.toString('latin1')),
    otherNames: names.filter(({ tag }) => tag !== URI_TAG).length,
  };
}

/** The one identity that a certificate names: exactly one name, a URI, of a workload's shape. */
export function identityIn(facts: CertificateFacts): Identity | undefined {
  const [uri = '', ...more] = facts.uris;
  return more.length === 0 && facts.otherNames === 0 ? parseIdentity(uri) : undefined;
}

/** SHA-256 in hex. */
export function fingerprintOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}

/** When to renew: at 50 to 70 % of the life, by a `random` number from 0 to 1. */
export function renewalTime(
  { notBeforeMs, notAfterMs }: Pick<Credentials, 'notBeforeMs' | 'notAfterMs'>,
  random: number,
): number {
  return notBeforeMs + (notAfterMs - notBeforeMs) * (0.5 + 0.2 * random);
}

/** Says whether its key usage lets it sign certificates; without one everything is allowed. */
export function mayCertify({ x509 }: CertificateFacts): boolean {
  const value = extensionIn(x509.raw, OID.keyUsage);
  if (value === undefined) return true;
  const [, firstByte = 0] = expectTag(readElement(value), TAG.bitString, 'a key usage').content;
  return (firstByte & (0x80 >> USAGE.certSign)) !== 0;
}

/** The subject, in DER. */
export function subjectIn(der: Buffer): Buffer {
  const subject = partsOf(der).filter(({ tag }) => tag === TAG.sequence)[SUBJECT_AT];
  return expectTag(subject, TAG.sequence, 'a subject').whole;
}

/** The subject key identifier; undefined when there is none. */
export function subjectKeyIn(der: Buffer): Buffer | undefined {
  const value = extensionIn(der, OID.subjectKeyIdentifier);
  return value && expectTag(readElement(value), TAG.octetString, 'a key identifier').content;
}

/** Among the sequences of a TBSCertificate: algorithm, issuer, validity, subject. */
const SUBJECT_AT = 3;

/** What stands in the TBSCertificate. */
function partsOf(der: Buffer): Element[] {
  const [tbs] = childrenOf(expectTag(readElement(der), TAG.sequence, 'a certificate'));
  return childrenOf(expectTag(tbs, TAG.sequence, 'what was signed'));
}

function extensionsIn(der: Buffer): Element | undefined {
  const wrapper = partsOf(der).find(({ tag }) => tag === 0xa3);
  return wrapper && childrenOf(wrapper)[0];
}

/** The DER inside an extension; undefined when there is no such extension. */
function extensionIn(der: Buffer, id: string): Buffer | undefined {
  const extensions = extensionsIn(der);
  if (extensions === undefined) return undefined;
  const found = childrenOf(extensions).find((one) => readOid(childrenOf(one)[0]) === id);
  const value = found && childrenOf(found).at(-1);
  return value && expectTag(value, TAG.octetString, 'the value of an extension').content;
}

function alternativeNames(der: Buffer): Element[] {
  const extensions = extensionsIn(der);
  return extensions === undefined ? [] : namesIn(extensions);
}

/** Finds the subjectAltName among extensions; several are an error. */
export function namesIn(extensions: Element | undefined): Element[] {
  const found = childrenOf(expectTag(extensions, TAG.sequence, 'extensions')).filter(
    (one) => readOid(childrenOf(one)[0]) === OID.subjectAltName,
  );
  if (found.length > 1) {
    throw new MeshError('CERTIFICATE_INVALID', 'Cannot read names: subjectAltName stands twice');
  }
  const [names] = found;
  if (names === undefined) return [];
  const value = expectTag(childrenOf(names).at(-1), TAG.octetString, 'the value of an extension');
  return childrenOf(expectTag(readElement(value.content), TAG.sequence, 'names'));
}

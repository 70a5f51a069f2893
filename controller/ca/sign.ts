/**
 * The certificates of a mesh: root, issuing, leaf. Each function builds one and signs it.
 *
 * Our keys are ECDSA P-256, all signatures SHA-256; a key given from outside may be RSA. A certificate begins two minutes before it is
 * made, for clocks that are behind, and never ends after the one above it.
 */
import { createHash, randomBytes, X509Certificate, type KeyObject } from 'node:crypto';
import {
  boolean,
  embed,
  extension,
  integer,
  keyUsage,
  OID,
  octets,
  oid,
  pem,
  sequence,
  set,
  signatureAlgorithm,
  signed,
  tagged,
  time,
  uriName,
  USAGE,
  utf8,
  type Asn1,
} from '#common/tls/der-write.ts';
import { subjectIn, subjectKeyIn } from '#common/tls/certificate.ts';

export const CLOCK_SKEW_MS = 2 * 60_000;

export interface Issuer {
  readonly certificatePem: string;
  readonly key: KeyObject;
}

export interface Lifetime {
  readonly nowMs: number;
  readonly lifeMs: number;
}

/** A self-signed root; `label` tells it from the others. */
export function signRoot(
  { trustDomain, label }: { readonly trustDomain: string; readonly label: string },
  keys: { readonly publicKey: KeyObject; readonly privateKey: KeyObject },
  life: Lifetime,
): string {
  const name = nameOf(trustDomain, `Plumbline root ${label}`);
  return build({
    subject: name,
    issuer: name,
    publicKey: keys.publicKey,
    signer: keys.privateKey,
    notAfterMs: endOf(life, Number.POSITIVE_INFINITY),
    nowMs: life.nowMs,
    extensions: [
      authorityConstraints(1),
      keyUsage(USAGE.certSign, USAGE.crlSign),
      subjectKey(keys.publicKey),
    ],
  });
}

/** A certificate that may sign leaves, and nothing but leaves. */
export function signIssuing(
  { trustDomain, label }: { readonly trustDomain: string; readonly label: string },
  publicKey: KeyObject,
  { root, life }: { readonly root: Issuer; readonly life: Lifetime },
): string {
  const above = new X509Certificate(root.certificatePem);
  return build({
    subject: nameOf(trustDomain, `Plumbline issuing ${label}`),
    issuer: subjectOf(above),
    publicKey,
    signer: root.key,
    notAfterMs: endOf(life, above.validToDate.getTime()),
    nowMs: life.nowMs,
    extensions: [
      authorityConstraints(0),
      keyUsage(USAGE.certSign, USAGE.crlSign),
      subjectKey(publicKey),
      ...issuerKey(above),
    ],
  });
}

/** A leaf for both ends of TLS: empty subject, one critical URI. */
export function signLeaf(
  uri: string,
  publicKey: KeyObject,
  { issuing, life }: { readonly issuing: Issuer; readonly life: Lifetime },
): string {
  const above = new X509Certificate(issuing.certificatePem);
  return build({
    subject: sequence(),
    issuer: subjectOf(above),
    publicKey,
    signer: issuing.key,
    notAfterMs: endOf(life, above.validToDate.getTime()),
    nowMs: life.nowMs,
    extensions: [
      extension(OID.basicConstraints, true, sequence()),
      keyUsage(USAGE.digitalSignature, USAGE.keyEncipherment),
      extension(OID.extendedKeyUsage, false, sequence(oid(OID.serverAuth), oid(OID.clientAuth))),
      ...issuerKey(above),
      uriName(uri),
    ],
  });
}

interface Plan {
  readonly subject: Asn1;
  readonly issuer: Asn1;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly nowMs: number;
  readonly notAfterMs: number;
  readonly extensions: readonly Asn1[];
}

function build(plan: Plan): string {
  const certificate = sequence(
    tagged(0, [integer(Uint8Array.of(2))]),
    integer(newSerial()),
    signatureAlgorithm(plan.signer),
    plan.issuer,
    sequence(time(plan.nowMs - CLOCK_SKEW_MS), time(plan.notAfterMs)),
    plan.subject,
    embed(spkiOf(plan.publicKey)),
    tagged(3, [sequence(...plan.extensions)]),
  );
  return pem('CERTIFICATE', signed(certificate, plan.signer));
}

/** 127 random bits, positive and without a leading zero byte, as DER wants it. */
function newSerial(): Buffer {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

function endOf({ nowMs, lifeMs }: Lifetime, issuerEndMs: number): number {
  return Math.min(nowMs + lifeMs, issuerEndMs);
}

function nameOf(trustDomain: string, common: string): Asn1 {
  const part = (type: string, value: string): Asn1 => set(sequence(oid(type), utf8(value)));
  return sequence(part(OID.organization, trustDomain), part(OID.commonName, common));
}

/** The subject of a CA certificate, byte for byte, since chains are found by it. */
function subjectOf(certificate: X509Certificate): Asn1 {
  return embed(subjectIn(certificate.raw));
}

function authorityConstraints(below: number): Asn1 {
  return extension(
    OID.basicConstraints,
    true,
    sequence(boolean(true), integer(Uint8Array.of(below))),
  );
}

function subjectKey(key: KeyObject): Asn1 {
  return extension(OID.subjectKeyIdentifier, false, octets(keyIdOf(key)));
}

/** Names the key above as the certificate above does; says nothing where that says nothing. */
function issuerKey(above: X509Certificate): Asn1[] {
  const id = subjectKeyIn(above.raw);
  return id === undefined
    ? []
    : [extension(OID.authorityKeyIdentifier, false, sequence(tagged(0, id)))];
}

/** RFC 7093 method 1: the first 160 bits of the SHA-256 of the key. */
function keyIdOf(key: KeyObject): Buffer {
  return createHash('sha256').update(spkiOf(key)).digest().subarray(0, 20);
}

function spkiOf(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

/**
 * Builds the DER of requests and certificates with node-forge, which is used for nothing else: it
 * knows no elliptic curves, so `node:crypto` makes the keys and signatures.
 */
import { sign, type KeyObject } from 'node:crypto';
import forge from 'node-forge';

const { asn1 } = forge;
const { Class, Type } = asn1;

export type Asn1 = forge.asn1.Asn1;

export const OID = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  rsaWithSha256: '1.2.840.113549.1.1.11',
  extensionRequest: '1.2.840.113549.1.9.14',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

/** Bits of keyUsage, from the left. */
export const USAGE = { digitalSignature: 0, keyEncipherment: 2, certSign: 5, crlSign: 6 } as const;

/** The last moment that UTCTime can name (RFC 5280 4.1.2.5). */
const END_OF_UTC_TIME = Date.UTC(2050, 0, 1);

function universal(type: forge.asn1.Type, constructed: boolean, value: string | Asn1[]): Asn1 {
  return asn1.create(Class.UNIVERSAL, type, constructed, value);
}

export function sequence(...items: Asn1[]): Asn1 {
  return universal(Type.SEQUENCE, true, items);
}

export function set(...items: Asn1[]): Asn1 {
  return universal(Type.SET, true, items);
}

export function oid(dotted: string): Asn1 {
  return universal(Type.OID, false, asn1.oidToDer(dotted).getBytes());
}

export function integer(bytes: Uint8Array): Asn1 {
  return universal(Type.INTEGER, false, binary(bytes));
}

export function boolean(value: boolean): Asn1 {
  return universal(Type.BOOLEAN, false, value ? '\xff' : '\0');
}

export function octets(bytes: Uint8Array): Asn1 {
  return universal(Type.OCTETSTRING, false, binary(bytes));
}

export function utf8(text: string): Asn1 {
  return universal(Type.UTF8, false, forge.util.encodeUtf8(text));
}

/** A bit string of whole bytes. */
export function bits(bytes: Uint8Array): Asn1 {
  return universal(Type.BITSTRING, false, `\0${binary(bytes)}`);
}

/** A context-specific element: `[n]` with elements inside, or with bytes. */
export function tagged(n: number, value: Asn1[] | Uint8Array): Asn1 {
  const constructed = Array.isArray(value);
  return asn1.create(
    Class.CONTEXT_SPECIFIC,
    // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- a tag number of its own class
    n,
    constructed,
    Array.isArray(value) ? value : binary(value),
  );
}

export function time(ms: number): Asn1 {
  const date = new Date(ms);
  return ms < END_OF_UTC_TIME
    ? universal(Type.UTCTIME, false, asn1.dateToUtcTime(date))
    : universal(Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date));
}

/** Takes DER of our own making, or of `node:crypto`'s, as an element. */
export function embed(der: Uint8Array): Asn1 {
  return asn1.fromDer(binary(der));
}

export function encode(element: Asn1): Buffer {
  return Buffer.from(asn1.toDer(element).getBytes(), 'latin1');
}

export function extension(id: string, critical: boolean, value: Asn1): Asn1 {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(encode(value)));
}

/** The keyUsage extension with these bits set. */
export function keyUsage(...used: readonly number[]): Asn1 {
  const last = Math.max(...used);
  const byte = used.reduce((sum, bit) => sum | (0x80 >> bit), 0);
  const value = String.fromCharCode(7 - last, byte);
  return extension(OID.keyUsage, true, universal(Type.BITSTRING, false, value));
}

/** The subjectAltName extension with one URI; critical, since our subjects are empty. */
export function uriName(uri: string): Asn1 {
  return extension(OID.subjectAltName, true, sequence(tagged(6, Buffer.from(uri, 'latin1'))));
}

/** SHA-256, with ECDSA or with RSA as the key is. */
export function signatureAlgorithm(key: KeyObject): Asn1 {
  return key.asymmetricKeyType === 'rsa'
    ? sequence(oid(OID.rsaWithSha256), universal(Type.NULL, false, ''))
    : sequence(oid(OID.ecdsaWithSha256));
}

/** Signs what is to be signed, and returns the whole in DER. */
export function signed(toBeSigned: Asn1, key: KeyObject): Buffer {
  const signature = sign('sha256', encode(toBeSigned), { key, dsaEncoding: 'der' });
  return encode(sequence(toBeSigned, signatureAlgorithm(key), bits(signature)));
}

/** Spells DER as PEM with this label. */
export function pem(label: string, der: Uint8Array): string {
  const body = Buffer.from(der)
    .toString('base64')
    .replaceAll(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
}

function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

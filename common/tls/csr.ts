/**
 * Certificate requests: an agent makes one for a workload identity, the controller reads it.
 *
 * What is accepted is exactly what `makeRequest` makes: PKCS #10, a P-256 key that has signed it, an
 * empty subject and one URI. The rest of the certificate is for the CA to say.
 */
import { createPublicKey, generateKeyPairSync, verify, type KeyObject } from 'node:crypto';
import { MeshError } from '../errors.ts';
import type { Identity } from '../identity.ts';
import { namesIn } from './certificate.ts';
import { childrenOf, expectTag, readElement, readOid, TAG, type Element } from './der-read.ts';
import {
  integer,
  OID,
  oid,
  pem,
  sequence,
  set,
  signed,
  tagged,
  embed,
  uriName,
} from './der-write.ts';

const LABEL = 'CERTIFICATE REQUEST';
/** Ours are 450 bytes of DER with the longest identity 1,100. */
const LONGEST_PEM = 8192;
const URI_TAG = 0x86;

/** Makes a new P-256 key, and a request for `identity` signed with it. */
export function makeRequest(identity: Identity): {
  readonly keyPem: string;
  readonly csrPem: string;
} {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const extensions = sequence(uriName(identity));
  const info = sequence(
    integer(Uint8Array.of(0)),
    sequence(),
    embed(publicKey.export({ type: 'spki', format: 'der' })),
    tagged(0, [sequence(oid(OID.extensionRequest), set(extensions))]),
  );
  return {
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    csrPem: pem(LABEL, signed(info, privateKey)),
  };
}

export interface ReadRequest {
  readonly uri: string;
  readonly publicKey: KeyObject;
}

/** Reads and verifies a request; throws `CERTIFICATE_INVALID` that says what is wrong with it. */
export function readRequest(csrPem: string): ReadRequest {
  const request = expectTag(readElement(decodePem(csrPem)), TAG.sequence, 'a request');
  const [info, algorithm, signature, ...rest] = childrenOf(request);
  if (rest.length > 0) throw refused('something follows the signature');
  const [version, subject, spki, attributes, ...more] = childrenOf(
    expectTag(info, TAG.sequence, 'what was signed'),
  );
  if (more.length > 0) throw refused('something follows the attributes');
  if (!expectTag(version, TAG.integer, 'a version').content.equals(Buffer.of(0))) {
    throw refused('not version 0');
  }
  if (expectTag(subject, TAG.sequence, 'a subject').content.length > 0) {
    throw refused('the subject must be empty');
  }
  const publicKey = readKey(expectTag(spki, TAG.sequence, 'a public key'));
  checkSignature({ info, algorithm, signature, publicKey });
  return { uri: readUri(expectTag(attributes, 0xa0, 'attributes')), publicKey };
}

function refused(found: string, cause?: unknown): MeshError {
  return new MeshError('CERTIFICATE_INVALID', `Cannot accept a certificate request: ${found}`, {
    cause,
  });
}

function decodePem(text: string): Buffer {
  if (text.length > LONGEST_PEM) throw refused(`longer than ${LONGEST_PEM} characters`);
  const found =
    /^-----BEGIN CERTIFICATE REQUEST-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE REQUEST-----\s*$/.exec(
      text,
    );
  if (found === null) throw refused('not one PEM block of a certificate request');
  return Buffer.from(found[1] ?? '', 'base64');
}

function readKey(spki: Element): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: spki.whole, format: 'der', type: 'spki' });
  } catch (cause) {
    throw refused('the public key cannot be read', cause);
  }
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw refused('the key must be ECDSA P-256');
  }
  return key;
}

function checkSignature(parts: {
  readonly info: Element | undefined;
  readonly algorithm: Element | undefined;
  readonly signature: Element | undefined;
  readonly publicKey: KeyObject;
}): void {
  const info = expectTag(parts.info, TAG.sequence, 'what was signed');
  const [algorithm] = childrenOf(expectTag(parts.algorithm, TAG.sequence, 'an algorithm'));
  if (readOid(algorithm) !== OID.ecdsaWithSha256) throw refused('not signed by ECDSA with SHA-256');
  const bytes = expectTag(parts.signature, TAG.bitString, 'a signature').content;
  const holds =
    bytes[0] === 0 &&
    verify('sha256', info.whole, { key: parts.publicKey, dsaEncoding: 'der' }, bytes.subarray(1));
  if (!holds) throw refused('its signature is not by its key');
}

function readUri(attributes: Element): string {
  const [attribute, ...others] = childrenOf(attributes);
  const [id, values] = childrenOf(expectTag(attribute, TAG.sequence, 'an attribute'));
  if (others.length > 0 || readOid(id) !== OID.extensionRequest) {
    throw refused('the one attribute must be the extension request');
  }
  const [extensions, ...more] = childrenOf(expectTag(values, TAG.set, 'values'));
  const names = namesIn(extensions);
  const [name] = names;
  if (more.length > 0 || names.length !== 1 || name?.tag !== URI_TAG) {
    throw refused('exactly one name must be asked for, a URI');
  }
  return name.content.toString('latin1');
}

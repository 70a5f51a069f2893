/**
 * What the mesh must know of a peer's certificate, read from its DER (RFC 5280).
 *
 * OpenSSL has already checked the chain; here only names and a few facts are read, by a bounded
 * walk that never guesses: DER that is not as expected reads as undefined, and the peer is refused.
 */
import type { DerNode } from './der.ts';
import { childrenOf, readNode, readTime } from './der.ts';

export interface CertificateFacts {
  /** Every URI of the subject alternative name, in order. */
  readonly uris: readonly string[];
  readonly notAfter: number;
  readonly isAuthority: boolean;
}

const SUBJECT_ALT_NAME = '551d11';
const BASIC_CONSTRAINTS = '551d13';
const TAG_BOOLEAN = 0x01;
const TAG_OCTET_STRING = 0x04;
const TAG_OID = 0x06;
const TAG_SEQUENCE = 0x30;
const TAG_VERSION = 0xa0;
const TAG_EXTENSIONS = 0xa3;
const TAG_URI = 0x86;
const VALIDITY_AT = 3;
/** An SPIFFE ID has at most 2048 bytes. */
const MAX_URI_BYTES = 2048;
const MAX_URIS = 16;
/** RFC 3986 has no others; in particular no NUL, which C would take for the end. */
const URI = /^[\x21-\x7e]+$/;

export function readCertificate(der: Buffer): CertificateFacts | undefined {
  const certificate = readNode(der, 0, der.length);
  if (certificate?.tag !== TAG_SEQUENCE || certificate.end !== der.length) return undefined;
  const tbs = childrenOf(der, certificate)?.[0];
  const fields = tbs?.tag === TAG_SEQUENCE ? childrenOf(der, tbs) : undefined;
  if (fields === undefined) return undefined;
  const offset = fields[0]?.tag === TAG_VERSION ? 1 : 0;
  const notAfter = readNotAfter(der, fields[offset + VALIDITY_AT]);
  const extensions = readExtensions(der, fields);
  if (notAfter === undefined || extensions === undefined) return undefined;
  return readFacts(der, extensions, notAfter);
}

function readFacts(
  der: Buffer,
  extensions: ReadonlyMap<string, DerNode>,
  notAfter: number,
): CertificateFacts | undefined {
  const names = extensions.get(SUBJECT_ALT_NAME);
  const uris = names === undefined ? [] : readUris(der, names);
  const constraints = extensions.get(BASIC_CONSTRAINTS);
  const isAuthority = constraints === undefined ? false : readAuthority(der, constraints);
  if (uris === undefined || isAuthority === undefined) return undefined;
  return { uris, notAfter, isAuthority };
}

function readNotAfter(der: Buffer, validity: DerNode | undefined): number | undefined {
  if (validity?.tag !== TAG_SEQUENCE) return undefined;
  const end = childrenOf(der, validity)?.[1];
  return end === undefined ? undefined : readTime(der, end);
}

/** Extensions by OID in hex, each as the node inside its OCTET STRING. */
function readExtensions(
  der: Buffer,
  fields: readonly DerNode[],
): ReadonlyMap<string, DerNode> | undefined {
  const found = new Map<string, DerNode>();
  const wrapper = fields.find(({ tag }) => tag === TAG_EXTENSIONS);
  if (wrapper === undefined) return found;
  const list = childrenOf(der, wrapper)?.[0];
  const extensions = list?.tag === TAG_SEQUENCE ? childrenOf(der, list) : undefined;
  if (extensions === undefined) return undefined;
  for (const extension of extensions) {
    const parts = childrenOf(der, extension);
    const oid = parts?.[0];
    const value = parts?.at(-1);
    if (oid?.tag !== TAG_OID || value?.tag !== TAG_OCTET_STRING) return undefined;
    const name = der.toString('hex', oid.start, oid.end);
    const inner = readNode(der, value.start, value.end);
    // Two extensions of one kind leave open which counts (RFC 5280 section 4.2 forbids it).
    if (found.has(name)) return undefined;
    if (inner !== undefined && inner.end === value.end) found.set(name, inner);
    else if (name === SUBJECT_ALT_NAME || name === BASIC_CONSTRAINTS) return undefined;
  }
  return found;
}

function readUris(der: Buffer, names: DerNode): string[] | undefined {
  const entries = names.tag === TAG_SEQUENCE ? childrenOf(der, names) : undefined;
  if (entries === undefined) return undefined;
  const uris: string[] = [];
  for (const { tag, start, end } of entries) {
    if (tag !== TAG_URI) continue;
    const uri = der.toString('latin1', start, Math.min(end, start + MAX_URI_BYTES));
    if (end - start > MAX_URI_BYTES || uris.length === MAX_URIS || !URI.test(uri)) return undefined;
    uris.push(uri);
  }
  return uris;
}

function readAuthority(der: Buffer, constraints: DerNode): boolean | undefined {
  const parts = constraints.tag === TAG_SEQUENCE ? childrenOf(der, constraints) : undefined;
  if (parts === undefined) return undefined;
  const flag = parts[0];
  return flag?.tag === TAG_BOOLEAN && der[flag.start] !== 0;
}

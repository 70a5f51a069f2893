/**
 * The messages of rtnetlink that list the addresses of a namespace. Pure: bytes in, bytes out.
 *
 * Only addresses by which others can reach a pod count: of global scope, and not of `lo`. Numbers are
 * in the byte order of the machine, which is little-endian wherever we run.
 */
import { formatAddress, formatAddress4 } from '#common/address.ts';

const HEAD_BYTES = 16;
/** struct ifaddrmsg. */
const BODY_BYTES = 8;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const NLM_F_REQUEST = 1;
const NLM_F_DUMP = 0x300;
const RT_SCOPE_UNIVERSE = 0;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
/** In every network namespace `lo` is the first interface. */
const LO = 1;
const AF_INET = 2;
const AF_INET6 = 10;

/** Asks for all addresses of both families. */
export function addressesRequest(): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + BODY_BYTES);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(RTM_GETADDR, 4);
  bytes.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
  return bytes;
}

export interface AddressReply {
  /** Canonical text. */
  readonly addresses: readonly string[];
  readonly isLast: boolean;
  /** A negated error number when the kernel refused, else 0. */
  readonly error: number;
}

/** Reads one datagram of the kernel's answer; what cannot be followed ends it. */
export function parseAddresses(bytes: Buffer): AddressReply {
  const addresses: string[] = [];
  for (let at = 0; at + HEAD_BYTES <= bytes.length;) {
    const length = bytes.readUInt32LE(at);
    const type = bytes.readUInt16LE(at + 4);
    const end = at + length;
    if (length < HEAD_BYTES || end > bytes.length) return { addresses, isLast: true, error: 0 };
    if (type === NLMSG_DONE) return { addresses, isLast: true, error: 0 };
    if (type === NLMSG_ERROR) {
      const error = length >= HEAD_BYTES + 4 ? bytes.readInt32LE(at + HEAD_BYTES) : 0;
      return { addresses, isLast: true, error };
    }
    const found =
      type === RTM_NEWADDR ? addressIn(bytes.subarray(at + HEAD_BYTES, end)) : undefined;
    if (found !== undefined) addresses.push(found);
    at += (length + 3) & ~3;
  }
  return { addresses, isLast: false, error: 0 };
}

function addressIn(body: Buffer): string | undefined {
  if (body.length < BODY_BYTES) return undefined;
  const family = body[0];
  if (body[3] !== RT_SCOPE_UNIVERSE || body.readUInt32LE(4) === LO) return undefined;
  const size = family === AF_INET ? 4 : family === AF_INET6 ? 16 : 0;
  let found: Buffer | undefined;
  for (let at = BODY_BYTES; at + 4 <= body.length;) {
    const length = body.readUInt16LE(at);
    const type = body.readUInt16LE(at + 2) & 0x3fff;
    if (length < 4 || at + length > body.length) break;
    // Of a point-to-point interface IFA_ADDRESS is the other end's; IFA_LOCAL is its own.
    if (length === 4 + size && (type === IFA_LOCAL || (type === IFA_ADDRESS && !found))) {
      found = body.subarray(at + 4, at + length);
    }
    at += (length + 3) & ~3;
  }
  if (found === undefined || size === 0) return undefined;
  return size === 4 ? formatAddress4(found, 0) : formatAddress(found);
}

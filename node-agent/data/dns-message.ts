/**
 * DNS messages as far as the capture answers them itself: one question, A or AAAA, class IN.
 *
 * `readQuestion` says undefined for all else (several questions, other opcodes, compressed names,
 * malformed bytes): such a message is forwarded byte for byte, never judged. Names are lower case
 * without the final dot; an answer repeats the question as it was asked, letter by letter.
 */
import { isMapped, parseAddress } from '#common/address.ts';

export const TYPE_A = 1;
export const TYPE_CNAME = 5;
export const TYPE_AAAA = 28;
const CLASS_IN = 1;

export const RCODE_SERVFAIL = 2;

const HEADER_BYTES = 12;
const LONGEST_NAME = 255;
const LONGEST_LABEL = 63;

const QR = 0x8000;
const OPCODE = 0x7800;
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;

export interface Question {
  readonly id: number;
  readonly name: string;
  readonly type: number;
  readonly recursionDesired: boolean;
  /** Where the question section ends. */
  readonly end: number;
  /** What the asker takes by UDP: 512, or more when it says so (EDNS). */
  readonly udpBytes: number;
}

/** Reads a query that we may answer; undefined for any other message. */
export function readQuestion(message: Uint8Array): Question | undefined {
  if (message.length < HEADER_BYTES) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const flags = view.getUint16(2);
  if ((flags & (QR | OPCODE | TRUNCATED)) !== 0) return undefined;
  if (view.getUint16(4) !== 1 || view.getUint16(6) !== 0 || view.getUint16(8) !== 0) {
    return undefined;
  }
  const name = readName(message, HEADER_BYTES);
  if (name === undefined || name.end + 4 > message.length) return undefined;
  if (view.getUint16(name.end + 2) !== CLASS_IN) return undefined;
  const end = name.end + 4;
  return {
    id: view.getUint16(0),
    name: name.text,
    type: view.getUint16(name.end),
    recursionDesired: (flags & RECURSION_DESIRED) !== 0,
    end,
    udpBytes: view.getUint16(10) === 0 ? 512 : udpBytesOf(message, view, end),
  };
}

export interface Answer {
  /** Addresses of the family that was asked for. */
  readonly addresses: readonly string[];
  /** The name that the addresses belong to, when it is not the one asked for. */
  readonly canonicalName: string | undefined;
  readonly ttlSeconds: number;
}

/** Writes the answer to `question`, which stands in `query`; leaves out what does not fit. */
export function writeAnswer(
  query: Uint8Array,
  question: Question,
  { addresses, canonicalName, ttlSeconds, mostBytes }: Answer & { readonly mostBytes: number },
): Uint8Array {
  const records: Uint8Array[] = [];
  let size = question.end;
  if (canonicalName !== undefined) {
    const target = writeName(canonicalName);
    records.push(record([0xc0, HEADER_BYTES], TYPE_CNAME, ttlSeconds, target));
    size += 12 + target.length;
  }
  // The data of a CNAME begins 12 bytes behind the question; the addresses belong to that name.
  const owner = 0xc000 | (canonicalName === undefined ? HEADER_BYTES : question.end + 12);
  let isCut = false;
  for (const address of addresses) {
    const bytes = parseAddress(address);
    if (bytes === undefined || isMapped(bytes) !== (question.type === TYPE_A)) continue;
    const data = question.type === TYPE_A ? bytes.subarray(12) : bytes;
    if (size + 12 + data.length > mostBytes) {
      isCut = true;
      break;
    }
    records.push(record([owner >> 8, owner & 0xff], question.type, ttlSeconds, data));
    size += 12 + data.length;
  }
  const flags = AUTHORITATIVE | (isCut ? TRUNCATED : 0);
  return join(head(query, question, flags, records.length), records, size);
}

/** Writes an answer that says only that there is none now. */
export function writeFailure(query: Uint8Array, question: Question): Uint8Array {
  return join(head(query, question, RCODE_SERVFAIL, 0), [], question.end);
}

/** Writes a name as DNS carries it; throws `RangeError` for one that no message can hold. */
export function writeName(name: string): Uint8Array {
  const bytes: number[] = [];
  for (const label of name.split('.')) {
    const text = Buffer.from(label, 'latin1');
    if (text.length === 0 || text.length > LONGEST_LABEL) {
      throw new RangeError(`no DNS name: "${name}"`);
    }
    bytes.push(text.length, ...text);
  }
  bytes.push(0);
  if (bytes.length > LONGEST_NAME) throw new RangeError(`too long for a DNS name: "${name}"`);
  return Uint8Array.from(bytes);
}

function readName(message: Uint8Array, from: number): { text: string; end: number } | undefined {
  const labels: string[] = [];
  let at = from;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > LONGEST_LABEL) return undefined; // also compression
    at += 1;
    if (length === 0) break;
    if (at + length > message.length || at + length - from > LONGEST_NAME) return undefined;
    const label = Buffer.from(message.subarray(at, at + length)).toString('latin1');
    if (!/^[\w*-]+$/.test(label)) return undefined;
    labels.push(label.toLowerCase());
    at += length;
  }
  return { text: labels.join('.'), end: at };
}

/** The payload size of an OPT record (RFC 6891) that follows the question at once. */
function udpBytesOf(message: Uint8Array, view: DataView, at: number): number {
  const isOpt = at + 11 <= message.length && message[at] === 0 && view.getUint16(at + 1) === 41;
  return isOpt ? Math.min(Math.max(view.getUint16(at + 3), 512), 4096) : 512;
}

function head(query: Uint8Array, question: Question, flags: number, answers: number): Uint8Array {
  // Not `slice`: of a Buffer that is a view, and this one will be written to.
  const bytes = Uint8Array.from(query.subarray(0, question.end));
  const view = new DataView(bytes.buffer);
  const asked = question.recursionDesired ? RECURSION_DESIRED : 0;
  view.setUint16(2, QR | RECURSION_AVAILABLE | asked | flags);
  view.setUint16(6, answers);
  view.setUint16(8, 0);
  view.setUint16(10, 0);
  return bytes;
}

function record(
  owner: readonly number[],
  type: number,
  ttlSeconds: number,
  data: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  bytes.set(owner);
  view.setUint16(2, type);
  view.setUint16(4, CLASS_IN);
  view.setUint32(6, ttlSeconds);
  view.setUint16(10, data.length);
  bytes.set(data, 12);
  return bytes;
}

function join(front: Uint8Array, records: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes.set(front);
  let at = front.length;
  for (const part of records) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

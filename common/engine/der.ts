/**
 * A reader of DER (X.690): one node at a time, by position, without copying.
 *
 * Lengths must be in their shortest form and inside their parent, tags in one byte, and no node
 * has more than `MAX_CHILDREN` children; anything else reads as undefined.
 */

export interface DerNode {
  readonly tag: number;
  /** Where the content begins and ends. */
  readonly start: number;
  readonly end: number;
}

const MAX_CHILDREN = 256;
const MULTI_BYTE_TAG = 0x1f;
const TAG_UTC_TIME = 0x17;
const TAG_GENERALIZED_TIME = 0x18;

/** Reads the node that begins at `at`, and must end at `end` or before. */
export function readNode(der: Buffer, at: number, end: number): DerNode | undefined {
  const tag = der[at];
  const first = der[at + 1];
  if (tag === undefined || first === undefined || at + 2 > end) return undefined;
  if ((tag & MULTI_BYTE_TAG) === MULTI_BYTE_TAG) return undefined;
  let start = at + 2;
  let length = first;
  if (first >= 0x80) {
    const bytes = first & 0x7f;
    if (bytes === 0 || bytes > 3 || start + bytes > end) return undefined;
    length = der.readUIntBE(start, bytes);
    start += bytes;
    if (length < 0x80 || length < 2 ** (8 * (bytes - 1))) return undefined;
  }
  return start + length <= end ? { tag, start, end: start + length } : undefined;
}

/** The nodes inside a constructed one. */
export function childrenOf(der: Buffer, parent: DerNode): DerNode[] | undefined {
  const children: DerNode[] = [];
  for (let at = parent.start; at < parent.end;) {
    const child = readNode(der, at, parent.end);
    if (child === undefined || children.length === MAX_CHILDREN) return undefined;
    children.push(child);
    at = child.end;
  }
  return children;
}

/** Reads a UTCTime or GeneralizedTime of RFC 5280 as milliseconds since 1970. */
export function readTime(der: Buffer, node: DerNode): number | undefined {
  const text = der.toString('latin1', node.start, Math.min(node.end, node.start + 16));
  const short = node.tag === TAG_UTC_TIME && /^\d{12}Z$/.test(text);
  const long = node.tag === TAG_GENERALIZED_TIME && /^\d{14}Z$/.test(text);
  if (!short && !long) return undefined;
  // Two digits stand for 1950 to 2049.
  const century = long ? '' : Number(text.slice(0, 2)) < 50 ? '20' : '19';
  const full = century + text;
  const [year, rest] = [full.slice(0, 4), full.slice(4)];
  const [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map((i) => rest.slice(i, i + 2));
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(time) ? undefined : time;
}

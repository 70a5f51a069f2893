/**
 * Reads DER, and only DER: definite lengths in their shortest form, one-byte tags, within bounds.
 *
 * Nothing recurses and nothing is copied: an element is a view of the input. Anything else than what
 * the caller asked for throws `CERTIFICATE_INVALID`.
 */
import { MeshError } from '../errors.ts';

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

export interface Element {
  readonly tag: number;
  /** With tag and length. */
  readonly whole: Buffer;
  readonly content: Buffer;
}

/** More children than any certificate of ours, or any sane one, has in one place. */
const MOST_CHILDREN = 128;

function invalid(found: string): MeshError {
  return new MeshError('CERTIFICATE_INVALID', `Cannot read DER: ${found}`);
}

/** Reads the one element that `bytes` are. */
export function readElement(bytes: Buffer): Element {
  const element = readAt(bytes, 0);
  if (element.whole.length !== bytes.length) throw invalid('bytes after the end');
  return element;
}

/** Reads what stands inside a constructed element. */
export function childrenOf(parent: Element): Element[] {
  const children: Element[] = [];
  for (let at = 0; at < parent.content.length;) {
    if (children.length === MOST_CHILDREN) throw invalid(`more than ${MOST_CHILDREN} elements`);
    const child = readAt(parent.content, at);
    children.push(child);
    at += child.whole.length;
  }
  return children;
}

/** Returns `element` if it has this tag; `what` names it in the error. */
export function expectTag(element: Element | undefined, tag: number, what: string): Element {
  if (element?.tag === tag) return element;
  const found = element === undefined ? 'nothing' : `tag 0x${element.tag.toString(16)}`;
  throw invalid(`expected ${what}, found ${found}`);
}

/** Spells an object identifier with dots. */
export function readOid(element: Element | undefined): string {
  const { content } = expectTag(element, TAG.oid, 'an object identifier');
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of content) {
    if (arc > 0xff_ffff) throw invalid('an object identifier out of range');
    arc = arc * 128 + (byte & 0x7f);
    if (byte & 0x80) continue;
    if (arcs.length === 0) {
      const first = Math.min(Math.floor(arc / 40), 2);
      arcs.push(first, arc - 40 * first);
    } else arcs.push(arc);
    arc = 0;
  }
  return arcs.join('.');
}

function readAt(bytes: Buffer, at: number): Element {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) throw invalid('it ends too early');
  if ((tag & 0x1f) === 0x1f) throw invalid('a tag of more than one byte');
  let from = at + 2;
  let length = first;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count < 1 || count > 3 || from + count > bytes.length) throw invalid('a bad length');
    length = bytes.readUIntBE(from, count);
    from += count;
    if (length < 0x80 || length < 1 << (8 * (count - 1)))
      throw invalid('a length not the shortest');
  }
  const to = from + length;
  if (to > bytes.length) throw invalid('it ends too early');
  return { tag, whole: bytes.subarray(at, to), content: bytes.subarray(from, to) };
}

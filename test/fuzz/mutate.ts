/**
 * Ways to damage an input: as bytes, as lines, as JSON, as DER.
 *
 * The last three keep the form whole around the damage, so that a case gets past the outermost check
 * and into what stands behind it. All depend on `random` alone.
 */
import { noise, pick, type Random } from './random.ts';

const ODD = [0, 1, 0x0a, 0x20, 0x22, 0x2f, 0x30, 0x7f, 0x80, 0xbf, 0xc0, 0xfe, 0xff];
const LONGEST = 1 << 17;

/** One to eight small changes of bytes: flipped, set, cut out, repeated, inserted, crossed over. */
export function mutateBytes(random: Random, from: Buffer, other: Buffer): Buffer {
  let bytes: Buffer = Buffer.from(from);
  for (let times = 1 + random(random(4) === 0 ? 8 : 2); times > 0; times -= 1) {
    bytes = changeBytes(random, bytes, other);
  }
  return bytes.length > LONGEST ? bytes.subarray(0, LONGEST) : bytes;
}

function changeBytes(random: Random, bytes: Buffer, other: Buffer): Buffer {
  const at = random(bytes.length + 1);
  const to = Math.min(bytes.length, at + 1 + random(random(4) === 0 ? bytes.length + 1 : 8));
  switch (random(9)) {
    case 0:
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = pick(random, ODD);
      return bytes;
    case 2:
      if (at + 4 <= bytes.length) bytes.writeUInt32BE(random(2 ** 32), at);
      return bytes;
    case 3:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
    case 4:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
    case 5:
      return Buffer.concat([bytes.subarray(0, at), noise(random, 12), bytes.subarray(at)]);
    case 6:
      return bytes.subarray(0, at);
    case 7: {
      const cut = random(other.length + 1);
      return Buffer.concat([bytes.subarray(0, at), other.subarray(cut, cut + random(200))]);
    }
    default: {
      const piece = bytes.subarray(at, to);
      const many = Math.min(1 + random(40), Math.floor(4096 / Math.max(1, piece.length)));
      const again = Array.from({ length: many }, () => piece);
      return Buffer.concat([bytes.subarray(0, at), ...again, bytes.subarray(at)]);
    }
  }
}

/** Lines moved, doubled, dropped, or taken from elsewhere; now and then bytes inside one. */
export function mutateLines(random: Random, from: Buffer, other: Buffer): Buffer {
  if (random(4) === 0) return mutateBytes(random, from, other);
  const lines = from.toString('latin1').split('\n');
  const others = other.toString('latin1').split('\n');
  for (let times = 1 + random(4); times > 0 && lines.length > 0; times -= 1) {
    const at = random(lines.length);
    const line = Buffer.from(lines[at] ?? '', 'latin1');
    switch (random(5)) {
      case 0:
        lines.splice(at, 1);
        break;
      case 1:
        lines.splice(at, 0, lines[random(lines.length)] ?? '');
        break;
      case 2:
        lines.splice(at, 0, pick(random, others));
        break;
      case 3:
        lines[at] = ' '.repeat(random(6)) + line.toString('latin1').trimStart();
        break;
      default:
        lines[at] = mutateBytes(random, line, line).toString('latin1');
    }
  }
  return Buffer.from(lines.join('\n'), 'latin1');
}

const KEYS = ['__proto__', 'constructor', 'toString', 'type', 'length', '', 'x'.repeat(300), '\0'];
const VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  0.5,
  1e308,
  2 ** 53,
  '',
  '\0',
  '\ud800',
  'x'.repeat(5000),
  '10.0.0.1',
  '::ffff:10.0.0.1',
  '0.0.0.0/0',
  '*',
  {},
  [],
  { ['__proto__']: 1 },
];

/** A JSON text with values, keys and lists changed anywhere in it; sometimes bytes instead. */
export function mutateJson(random: Random, from: Buffer, other: Buffer): Buffer {
  if (random(5) === 0) return mutateBytes(random, from, other);
  let tree: unknown;
  try {
    tree = JSON.parse(from.toString('utf8'));
  } catch {
    return mutateBytes(random, from, other);
  }
  for (let times = 1 + random(3); times > 0; times -= 1) tree = changeTree(random, tree, 0);
  const text = JSON.stringify(tree) ?? '';
  return Buffer.from(text.length > LONGEST ? text.slice(0, LONGEST) : text);
}

/** Changes one place of a tree of plain values. */
export function changeTree(random: Random, tree: unknown, depth: number): unknown {
  const isLeaf = typeof tree !== 'object' || tree === null;
  if (isLeaf || random(4 + depth) === 0) return newValue(random, tree);
  if (Array.isArray(tree)) {
    const list: unknown[] = [...tree];
    const at = random(list.length + 1);
    if (random(4) === 0) list.splice(at, random(2), newValue(random, list[at]));
    else if (random(8) === 0) list.push(...Array.from({ length: random(40) }, () => list[0]));
    else if (at < list.length) list[at] = changeTree(random, list[at], depth + 1);
    return list;
  }
  const entries = Object.entries(tree);
  const at = random(entries.length + 1);
  const entry = entries[at];
  if (entry === undefined) entries.push([pick(random, KEYS), newValue(random, 0)]);
  else if (random(8) === 0) entries.splice(at, 1);
  else if (random(12) === 0) entry[0] = pick(random, KEYS);
  else entry[1] = changeTree(random, entry[1], depth + 1);
  return Object.fromEntries(entries);
}

function newValue(random: Random, old: unknown): unknown {
  switch (random(6)) {
    case 0:
      return nested(random, old);
    case 1:
      return [old];
    case 2:
      if (typeof old === 'number') return old + random(5) - 2;
      return typeof old === 'string' ? mutateText(random, old) : pick(random, VALUES);
    default:
      return pick(random, VALUES);
  }
}

function mutateText(random: Random, text: string): string {
  const bytes = Buffer.from(text);
  return mutateBytes(random, bytes, bytes).toString('utf8');
}

function nested(random: Random, inner: unknown): unknown {
  let tree = inner;
  for (let depth = random(40); depth > 0; depth -= 1) tree = random(2) === 0 ? [tree] : { a: tree };
  return tree;
}

interface Tree {
  tag: number;
  /** The bytes of a primitive one, or the parts of a constructed one. */
  content: Buffer | Tree[];
}

/** DER with nodes changed, doubled, dropped or moved, and lengths made right again around them. */
export function mutateDer(random: Random, from: Buffer, other: Buffer): Buffer {
  const tree = random(5) === 0 ? undefined : readTree(from);
  const root = tree?.[0];
  if (root === undefined) return mutateBytes(random, from, other);
  for (let times = 1 + random(3); times > 0; times -= 1) changeNode(random, root);
  return writeTree(root);
}

function changeNode(random: Random, node: Tree): void {
  const { content } = node;
  if (Buffer.isBuffer(content)) {
    if (random(6) === 0) node.tag = random(256);
    else node.content = mutateBytes(random, content, content);
    return;
  }
  const at = random(content.length + 1);
  const child = content[at];
  if (child === undefined) {
    if (random(3) === 0) node.tag = random(256);
    else content.push({ tag: random(256), content: noise(random, 20) });
  } else if (random(12) === 0) content.splice(at, 1);
  else if (random(11) === 0) content.splice(at, 0, child);
  else if (random(16) === 0) content.push(...content.splice(at, 1));
  else if (random(24) === 0) for (let i = random(300); i > 0; i -= 1) content.push(child);
  else changeNode(random, child);
}

function readTree(bytes: Buffer): Tree[] | undefined {
  const nodes: Tree[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at] ?? 0;
    let length = bytes[at + 1] ?? 0;
    at += 2;
    if (length > 0x80 && length < 0x84) {
      const size = length & 0x7f;
      if (at + size > bytes.length) return undefined;
      length = bytes.readUIntBE(at, size);
      at += size;
    }
    if (length === 0x80 || at + length > bytes.length) return undefined;
    const content = bytes.subarray(at, at + length);
    // An OCTET STRING may hold DER too: extensions do.
    const parts = (tag & 0x20) !== 0 || tag === 0x04 ? readTree(content) : undefined;
    nodes.push({ tag, content: parts ?? content });
    at += length;
  }
  return nodes;
}

function writeTree({ tag, content }: Tree): Buffer {
  const whole = Buffer.isBuffer(content) ? content : Buffer.concat(content.map(writeTree));
  const body = whole.subarray(0, LONGEST);
  const { length } = body;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), body]);
  const size = length < 0x100 ? 1 : length < 0x1_0000 ? 2 : 3;
  const head = Buffer.alloc(2 + size);
  head[0] = tag;
  head[1] = 0x80 | size;
  head.writeUIntBE(length, 2, size);
  return Buffer.concat([head, body]);
}

/**
 * Spells a difference as messages of a few hundred kilobytes, one at a time, as they are asked for.
 *
 * A message is a list of pieces to be sent as one. What everybody may know is spliced in as it was
 * made for all; what this node alone may know comes after it, and where both have an object, the
 * later form counts. No object is ever left out: one that were longer than any message is refused by
 * the agent, which then keeps its last good state and says so.
 */
import type { Kind } from './item.ts';
import type { Difference } from './mesh-state.ts';

/** Sent one after another as one message. */
export type Message = readonly (string | Buffer)[];

/** Where a part ends; one piece more may pass it. */
const PART_BYTES = 512 * 1024;
/** Far below the bound of a list in the schema. */
const PART_OBJECTS = 16_384;

const KINDS: readonly Kind[] = ['workloads', 'services', 'policies', 'pods'];

/** A piece of JSON that belongs into one list of a part. */
interface Piece {
  readonly kind: Kind;
  readonly isRemoval: boolean;
  readonly json: string | Buffer;
  readonly objects: number;
}

/** Yields the messages that bring `node` to the version of `difference`; at least one. */
export function* partsOf(difference: Difference, node: string): Generator<Message> {
  let pieces: Piece[] = [];
  let bytes = 0;
  let objects = 0;
  let part = 0;
  for (const piece of piecesOf(difference, node)) {
    if (bytes >= PART_BYTES || objects + piece.objects > PART_OBJECTS) {
      yield spell(pieces, difference, { part, last: false });
      part += 1;
      pieces = [];
      bytes = 0;
      objects = 0;
    }
    pieces.push(piece);
    bytes += piece.json.length;
    objects += piece.objects;
  }
  yield spell(pieces, difference, { part, last: true });
}

function* piecesOf({ common, items, removed }: Difference, node: string): Generator<Piece> {
  for (const { kind, json, objects } of common) yield { kind, isRemoval: false, json, objects };
  for (const item of items) {
    yield { kind: item.kind, isRemoval: false, json: item.jsonFor(node), objects: 1 };
  }
  for (const kind of KINDS) {
    for (const key of removed[kind]) {
      yield { kind, isRemoval: true, json: JSON.stringify(key), objects: 1 };
    }
  }
}

function spell(
  pieces: readonly Piece[],
  { version, snapshot }: Difference,
  { part, last }: { readonly part: number; readonly last: boolean },
): Message {
  const message: (string | Buffer)[] = [];
  let text = `{"type":"update","version":${version},"snapshot":${snapshot},"part":${part},"last":${last}`;
  const list = (kind: Kind, isRemoval: boolean): void => {
    let separator = '[';
    for (const piece of pieces) {
      if (piece.kind !== kind || piece.isRemoval !== isRemoval) continue;
      text += separator;
      separator = ',';
      if (typeof piece.json === 'string') text += piece.json;
      else {
        message.push(text, piece.json);
        text = '';
      }
    }
    text += separator === '[' ? '[]' : ']';
  };
  for (const kind of KINDS) {
    text += `,"${kind}":`;
    list(kind, false);
  }
  text += ',"removed":{';
  for (const [i, kind] of KINDS.entries()) {
    text += `${i === 0 ? '' : ','}"${kind}":`;
    list(kind, true);
  }
  message.push(`${text}}}`);
  return message;
}

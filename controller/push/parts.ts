/**
 * Spells a difference as messages of a few hundred kilobytes, one at a time, as they are asked for.
 *
 * Objects are spliced in as JSON that was made once for all agents, so a part costs little more than
 * copying it. No object is ever left out: one that were longer than any message is refused by the
 * agent, which then keeps its last good state and says so.
 */
import type { UpdatePart } from '#common/control/messages.ts';
import type { Kind } from './item.ts';
import type { Difference } from './mesh-state.ts';

/** Where a part ends; one object more may pass it. */
const PART_CHARACTERS = 512 * 1024;
/** Far below the bound of a list in the schema. */
const PART_OBJECTS = 16_384;

const KINDS: readonly Kind[] = ['workloads', 'services', 'policies', 'pods'];

interface Draft {
  readonly live: Record<Kind, string[]>;
  readonly removed: Record<Kind, string[]>;
  characters: number;
  objects: number;
}

/** Yields the messages that bring `node` to the version of `difference`; at least one. */
export function* partsOf(difference: Difference, node: string): Generator<string> {
  let draft = newDraft();
  let part = 0;
  const head = { version: difference.version, snapshot: difference.snapshot };
  for (const add of additions(difference, node)) {
    if (draft.characters >= PART_CHARACTERS || draft.objects >= PART_OBJECTS) {
      yield spell(draft, { ...head, part, last: false });
      part += 1;
      draft = newDraft();
    }
    draft.characters += add(draft);
    draft.objects += 1;
  }
  yield spell(draft, { ...head, part, last: true });
}

type Add = (draft: Draft) => number;

function* additions({ items, removed }: Difference, node: string): Generator<Add> {
  for (const item of items) yield (draft) => push(draft.live[item.kind], item.jsonFor(node));
  for (const kind of KINDS) {
    for (const key of removed[kind]) {
      yield (draft) => push(draft.removed[kind], JSON.stringify(key));
    }
  }
}

function push(list: string[], json: string): number {
  list.push(json);
  return json.length;
}

function newDraft(): Draft {
  const lists = (): Record<Kind, string[]> => ({
    workloads: [],
    services: [],
    policies: [],
    pods: [],
  });
  return { live: lists(), removed: lists(), characters: 0, objects: 0 };
}

function spell(
  { live, removed }: Draft,
  { version, snapshot, part, last }: Pick<UpdatePart, 'version' | 'snapshot' | 'part' | 'last'>,
): string {
  const lists = (of: Record<Kind, string[]>): string =>
    KINDS.map((kind) => `"${kind}":[${of[kind].join(',')}]`).join(',');
  const head = `"type":"update","version":${version},"snapshot":${snapshot}`;
  return `{${head},"part":${part},"last":${last},${lists(live)},"removed":{${lists(removed)}}}`;
}

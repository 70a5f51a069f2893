/**
 * Objects of one kind and name from several API groups, as the model can hold them: each by a name of
 * its own.
 *
 * The group that comes first keeps the name; another's object under the same name is called
 * `name@group`, which no object can be called. So a copy in our group replaces none of Istio's: both
 * policies hold. Pure but for what it remembers: which groups have which name.
 */
import type { ObjectChange } from '../model/diff.ts';
import type { MeshKind, MeshObject } from '../model/objects.ts';
import type { Change } from './reflection.ts';

interface Claim {
  readonly rank: number;
  readonly group: string;
  readonly object: MeshObject;
}

export class Union {
  readonly #kind: MeshKind;
  /** The first group has the name. */
  readonly #groups: readonly string[];
  readonly #claimsByKey = new Map<string, readonly Claim[]>();

  constructor(kind: MeshKind, groups: readonly string[]) {
    this.#kind = kind;
    this.#groups = groups;
  }

  /** Says what a change in one group is to the model. */
  apply(group: string, { type, key, object }: Change): ObjectChange[] {
    const before = this.#claimsByKey.get(key) ?? [];
    const others = before.filter((claim) => claim.group !== group);
    const claim = { rank: this.#groups.indexOf(group), group, object };
    const now = type === 'delete' ? others : [...others, claim].toSorted((a, b) => a.rank - b.rank);
    if (now.length === 0) this.#claimsByKey.delete(key);
    else this.#claimsByKey.set(key, now);
    const names = new Map(now.map((one, i) => [one.object, nameOf(one, i)]));
    const kept = new Set(names.values());
    const changes: ObjectChange[] = [];
    for (const [i, one] of before.entries()) {
      const name = nameOf(one, i);
      if (kept.has(name)) continue;
      const { namespace } = one.object.meta;
      changes.push({ type: 'delete', kind: this.#kind, namespace, name });
    }
    for (const [one, name] of names) {
      const isSame = before.some((old, i) => old.object === one && nameOf(old, i) === name);
      if (!isSame) changes.push({ type: 'set', object: named(one, name) });
    }
    return changes;
  }
}

function nameOf({ object, group }: Claim, position: number): string {
  return position === 0 ? object.meta.name : `${object.meta.name}@${group}`;
}

function named(object: MeshObject, name: string): MeshObject {
  return name === object.meta.name ? object : { ...object, meta: { ...object.meta, name } };
}

/** What a source has handed over: every list of changes, and the state that they lead to. */
import type { ObjectChange } from '../../controller/model/diff.ts';
import { keyOf, type MeshObject } from '../../controller/model/objects.ts';

export class SourceWatch {
  readonly batches: (readonly ObjectChange[])[] = [];
  readonly objects = new Map<string, MeshObject>();

  /** To be given to the source. */
  readonly take = (changes: readonly ObjectChange[]): void => {
    this.batches.push(changes);
    for (const change of changes) {
      if (change.type === 'set') {
        this.objects.set(`${change.object.kind} ${keyOf(change.object.meta)}`, change.object);
      } else {
        this.objects.delete(`${change.kind} ${keyOf(change)}`);
      }
    }
  };

  /** `set Pod shop/cart`, for the batches from `first` on. */
  said(first: number): string[] {
    return this.batches
      .slice(first)
      .flat()
      .map((change) =>
        change.type === 'set'
          ? `set ${change.object.kind} ${keyOf(change.object.meta)}`
          : `delete ${change.kind} ${keyOf(change)}`,
      );
  }

  keys(kind: string): string[] {
    return [...this.objects.keys()].filter((key) => key.startsWith(`${kind} `)).toSorted();
  }
}

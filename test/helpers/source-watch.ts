/** A source on a real API server, and what it has handed over. */
import {
  KubernetesSource,
  type KindHealth,
  type KubernetesSourceDeps,
} from '../../controller/kube/kubernetes-source.ts';
import type { ObjectChange } from '../../controller/model/diff.ts';
import { keyOf, type MeshObject } from '../../controller/model/objects.ts';
import type { ApiServer } from './api-server.ts';
import { eventually } from './program.ts';
import { silent } from './silent-log.ts';

const WITHIN_MS = 90_000;

/** Every list of changes, and the state that they lead to. */
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

/** Starts a source and waits for its first state. */
export async function follow(
  t: Teardown,
  server: ApiServer,
  options: Partial<KubernetesSourceDeps> = {},
): Promise<{
  source: KubernetesSource;
  watch: SourceWatch;
  health: (plural: string) => KindHealth;
}> {
  const watch = new SourceWatch();
  const client = server.client();
  const source = new KubernetesSource({
    client,
    log: silent,
    onChanges: watch.take,
    discoverMs: 300,
    ...options,
  });
  t.teardown(async () => {
    await source.stop();
    client.close();
  });
  await source.start();
  const health = (plural: string): KindHealth => {
    const found = source.health().find((one) => one.resource.plural === plural);
    if (found === undefined) throw new Error(`no ${plural}`);
    return found;
  };
  return { source, watch, health };
}

interface Teardown {
  teardown(end: () => Promise<void>): void;
}

/** Waits until it holds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  await eventually(
    what,
    async () => {
      if (!holds()) throw new Error('not yet');
    },
    WITHIN_MS,
  );
}

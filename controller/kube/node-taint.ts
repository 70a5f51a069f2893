/** Takes a taint from a node, and leaves all others as they are. */
import { statusOf, type ApiClient } from './api-client.ts';
import type { Resource } from './resource.ts';

const NODES: Resource = { group: '', version: 'v1', plural: 'nodes' };
const TRIES = 4;

interface NodeObject {
  readonly metadata?: { readonly resourceVersion?: string };
  readonly spec?: { readonly taints?: readonly { readonly key?: string }[] };
}

/** Resolves with whether the node had it. */
export async function removeTaint(
  api: ApiClient,
  { node, key }: { readonly node: string; readonly key: string },
  signal: AbortSignal,
): Promise<boolean> {
  for (let tries = 1; ; tries += 1) {
    const found = await api.get<NodeObject>(NODES, { name: node }, { signal });
    const taints = found?.spec?.taints ?? [];
    const rest = taints.filter((taint) => taint.key !== key);
    if (rest.length === taints.length) return false;
    // The list is replaced whole, so only as it was read.
    const { resourceVersion } = found?.metadata ?? {};
    const body = { metadata: { resourceVersion }, spec: { taints: rest } };
    try {
      await api.patch(NODES, { name: node }, { kind: 'merge', body }, { signal });
      return true;
    } catch (error) {
      if (statusOf(error) !== 409 || tries === TRIES) throw error;
    }
  }
}

/**
 * Writes the status of an object of ours, if it is still of the generation that the status is about.
 *
 * Conditions that say what they said keep their time; a status that says the same is not written.
 */
import { statusOf, type ApiClient } from './api-client.ts';
import type { Resource } from './resource.ts';

export interface StatusToWrite {
  readonly generation: number;
  readonly conditions: readonly {
    readonly type: string;
    readonly status: 'True' | 'False';
    readonly reason: string;
    readonly message: string;
  }[];
}

interface StoredCondition {
  readonly type?: string;
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly observedGeneration?: number;
  readonly lastTransitionTime?: string;
}

interface StoredObject {
  readonly metadata?: { readonly generation?: number; readonly resourceVersion?: string };
  readonly status?: {
    readonly conditions?: readonly StoredCondition[];
    readonly observedGeneration?: number;
  };
}

/** Resolves with whether anything was written. */
export async function writeObjectStatus(
  api: ApiClient,
  resource: Resource,
  { namespace, name, status }: { namespace: string; name: string; status: StatusToWrite },
  signal: AbortSignal,
): Promise<boolean> {
  const found = await api.get<StoredObject>(resource, { namespace, name }, { signal });
  if (found?.metadata?.generation !== status.generation) return false;
  const next = merged(found.status?.conditions ?? [], status, new Date());
  const before = found.status;
  if (
    before?.observedGeneration === status.generation &&
    JSON.stringify(next) === JSON.stringify(before.conditions)
  ) {
    return false;
  }
  const { resourceVersion } = found.metadata;
  const body = {
    metadata: { resourceVersion },
    status: { conditions: next, observedGeneration: status.generation },
  };
  try {
    const at = { namespace, name, subresource: 'status' };
    await api.patch(resource, at, { kind: 'merge', body }, { signal });
    return true;
  } catch (error) {
    // 404: it is gone. 409: it has just changed, and will be judged anew.
    if ([404, 409].includes(statusOf(error))) return false;
    throw error;
  }
}

function merged(
  before: readonly StoredCondition[],
  { generation, conditions }: StatusToWrite,
  now: Date,
): StoredCondition[] {
  return conditions.map(({ type, status, reason, message }) => {
    const old = before.find((one) => one.type === type);
    const lastTransitionTime =
      old?.status === status && old.lastTransitionTime !== undefined
        ? old.lastTransitionTime
        : now.toISOString().replace(/\.\d+Z$/, 'Z');
    // In the order in which an API server stores them, so that two can be compared as text.
    return {
      lastTransitionTime,
      message,
      observedGeneration: generation,
      reason,
      status,
      type,
    };
  });
}

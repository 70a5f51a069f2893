/**
 * Secrets by name: read one, write one only as it was read. So the controller needs no right to list or
 * watch Secrets, and never holds one that it has not been told of.
 */
import { statusOf, type ApiClient } from './api-client.ts';
import type { Resource } from './resource.ts';

const SECRETS: Resource = { group: '', version: 'v1', plural: 'secrets' };

export interface StoredSecret {
  /** As text, by key. */
  readonly data: Readonly<Record<string, string>>;
  readonly revision: string;
}

/** One Secret, as those see it that keep or read something in it. */
export interface SecretDoor {
  readonly name: string;
  read(): Promise<StoredSecret | undefined>;
  /**
   * Writes the keys of `data` in place of `revision` ('': there is none); resolves with the new
   * revision, with undefined when the Secret is no longer as it was read.
   */
  write(data: Readonly<Record<string, string>>, revision: string): Promise<string | undefined>;
}

interface SecretObject {
  readonly metadata?: { readonly resourceVersion?: string };
  readonly data?: Readonly<Record<string, string>>;
}

/** Opens one Secret; nothing is asked yet. */
export function secretAt(api: ApiClient, namespace: string, name: string): SecretDoor {
  const at = { namespace, name };
  return {
    name,
    read: async () => {
      const found = await api.get<SecretObject>(SECRETS, at);
      if (found === undefined) return undefined;
      const data: Record<string, string> = {};
      for (const [key, value] of Object.entries(found.data ?? {})) data[key] = fromBase64(value);
      return { data, revision: found.metadata?.resourceVersion ?? '' };
    },
    write: async (data, revision) => {
      const encoded = Object.entries(data).map(([key, value]) => [key, toBase64(value)]);
      const body = {
        apiVersion: 'v1',
        kind: 'Secret',
        type: 'Opaque',
        metadata: { name, namespace, ...(revision === '' ? {} : { resourceVersion: revision }) },
        data: Object.fromEntries(encoded),
      };
      try {
        const written =
          revision === ''
            ? await api.create<SecretObject>(SECRETS, namespace, body)
            : await api.replace<SecretObject>(SECRETS, at, body);
        return written.metadata?.resourceVersion ?? '';
      } catch (error) {
        // 404: it was deleted since it was read.
        if ([404, 409].includes(statusOf(error))) return undefined;
        throw error;
      }
    },
  };
}

function fromBase64(text: string): string {
  return Buffer.from(text, 'base64').toString('utf8');
}

function toBase64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

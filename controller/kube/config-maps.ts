/**
 * ConfigMaps of one name in all namespaces: read in one list, written by server-side apply.
 *
 * The list asks for that name alone, so a right to that name alone is enough. All belong to one
 * namespace, wherever they are: when it is deleted the garbage collector of the cluster takes them too.
 */
import type { ApiClient } from './api-client.ts';
import type { Resource } from './resource.ts';

const CONFIG_MAPS: Resource = { group: '', version: 'v1', plural: 'configmaps' };
const NAMESPACES: Resource = { group: '', version: 'v1', plural: 'namespaces' };
const MANAGED_BY = 'app.kubernetes.io/managed-by';
const US = 'plumbline';

export interface FoundConfigMap {
  readonly data: Readonly<Record<string, string>>;
  /** Whether it says that it is ours. */
  readonly isOurs: boolean;
}

/** All ConfigMaps of one name. */
export interface NamedConfigMaps {
  /** By namespace. */
  list(signal: AbortSignal): Promise<ReadonlyMap<string, FoundConfigMap>>;
  apply(
    namespace: string,
    data: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void>;
  remove(namespace: string, signal: AbortSignal): Promise<void>;
}

interface ConfigMapObject {
  readonly metadata?: {
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
}

export function configMapsNamed(
  api: ApiClient,
  { name, owner }: { readonly name: string; readonly owner: string },
): NamedConfigMaps {
  const owners = async (signal: AbortSignal): Promise<object[]> => {
    const found = await api.get<{ metadata?: { uid?: string } }>(
      NAMESPACES,
      { name: owner },
      { signal },
    );
    const uid = found?.metadata?.uid;
    return uid === undefined ? [] : [{ apiVersion: 'v1', kind: 'Namespace', name: owner, uid }];
  };
  return {
    list: async (signal) => {
      const found = new Map<string, FoundConfigMap>();
      let next = '';
      do {
        const query = { fieldSelector: `metadata.name=${name}` };
        const page = await api.list(CONFIG_MAPS, { query, next, signal });
        for (const item of page.items) {
          // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as every API server writes it
          const { metadata, data = {} } = item as ConfigMapObject;
          const isOurs = metadata?.labels?.[MANAGED_BY] === US;
          found.set(metadata?.namespace ?? '', { data, isOurs });
        }
        next = page.next;
      } while (next !== '');
      return found;
    },
    apply: async (namespace, data, signal) => {
      const ownerReferences = await owners(signal);
      const metadata = { name, namespace, labels: { [MANAGED_BY]: US }, ownerReferences };
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
      await api.apply(CONFIG_MAPS, { namespace, name }, body, { signal });
    },
    remove: async (namespace, signal) => {
      await api.delete(CONFIG_MAPS, { namespace, name }, { signal });
    },
  };
}

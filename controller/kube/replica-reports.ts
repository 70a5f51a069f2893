/** The ConfigMaps by which replicas tell each other of their agents, one for each replica. */
import { statusOf, type ApiClient } from './api-client.ts';
import type { Resource } from './resource.ts';

const CONFIG_MAPS: Resource = { group: '', version: 'v1', plural: 'configmaps' };
const LABEL = 'plumbline.dev/replica-report';
const KEY = 'report.json';

/** Where reports are put and found. */
export interface ReportBoard {
  read(signal: AbortSignal): Promise<string[]>;
  write(replica: string, report: string, signal: AbortSignal): Promise<void>;
  remove(replica: string, signal: AbortSignal): Promise<void>;
}

export function reportBoard(api: ApiClient, namespace: string): ReportBoard {
  const nameOf = (replica: string): string => `plumbline-replica-${replica}`.slice(0, 253);
  return {
    read: async (signal) => {
      const query = { labelSelector: `${LABEL}=true` };
      const { items } = await api.list(CONFIG_MAPS, { namespace, query, signal });
      return items.flatMap((item) => {
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as every API server writes it
        const { data } = item as { data?: Readonly<Record<string, string>> };
        const report = data?.[KEY];
        return report === undefined ? [] : [report];
      });
    },
    write: async (replica, report, signal) => {
      const name = nameOf(replica);
      const metadata = { name, namespace, labels: { [LABEL]: 'true' } };
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [KEY]: report } };
      await api.apply(CONFIG_MAPS, { namespace, name }, body, { signal });
    },
    remove: async (replica, signal) => {
      try {
        await api.delete(CONFIG_MAPS, { namespace, name: nameOf(replica) }, { signal });
      } catch (error) {
        if (statusOf(error) !== 404) throw error;
      }
    },
  };
}

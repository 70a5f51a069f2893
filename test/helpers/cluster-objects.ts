/** Objects as one would apply them, and as kubelet and controllers would fill in their status. */
import type { ApiClient } from '../../controller/kube/api-client.ts';
import type { Resource } from '../../controller/kube/resource.ts';
import { PODS } from './api-server.ts';

export const CRDS: Resource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
};

export function podBody(name: string, labels: Record<string, string> = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: {
      nodeName: 'n1',
      serviceAccountName: 'default',
      containers: [{ name: 'app', image: 'app:1', ports: [{ name: 'http', containerPort: 8080 }] }],
    },
  };
}

/** Says of a pod what its kubelet would. */
export async function runPod(
  client: ApiClient,
  namespace: string,
  name: string,
  status: Readonly<Record<string, unknown>>,
): Promise<void> {
  await client.patch(
    PODS,
    { namespace, name, subresource: 'status' },
    { kind: 'merge', body: { status } },
  );
}

export function running(ip: string): Readonly<Record<string, unknown>> {
  return {
    phase: 'Running',
    podIP: ip,
    podIPs: [{ ip }],
    conditions: [{ type: 'Ready', status: 'True' }],
  };
}

/** A definition that takes any spec: what is right is decided by the reader under test. */
export function crdBody(
  group: string,
  kind: string,
  plural: string,
  versions: readonly string[],
): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: versions.map((name, i) => ({
        name,
        served: true,
        storage: i === 0,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
            },
          },
        },
      })),
    },
  };
}

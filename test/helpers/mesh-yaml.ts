/** YAML for whole-mesh tests, put together from short calls. */

export interface PodYaml {
  readonly node: number;
  readonly account?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Container ports by name. */
  readonly ports?: Readonly<Record<string, number>>;
}

/** Joins documents. */
export function documents(...all: readonly string[]): string {
  return all.map((one) => one.trim()).join('\n---\n');
}

/** Nodes `node-1`, `node-2`, …; the n-th lies in the n-th zone, where zones are named. */
export function nodes(count: number, zones: readonly string[] = []): string {
  const labelsOf = (zone: string | undefined): object =>
    zone === undefined
      ? {}
      : { 'topology.kubernetes.io/region': 'r1', 'topology.kubernetes.io/zone': zone };
  return documents(
    ...Array.from({ length: count }, (_, i) =>
      object('v1', 'Node', { name: `node-${i + 1}`, labels: labelsOf(zones[i]) }, {}),
    ),
  );
}

export function namespace(
  name: string,
  labels: Readonly<Record<string, string>> = { 'plumbline.dev/dataplane-mode': 'ambient' },
): string {
  return object('v1', 'Namespace', { name, labels }, {});
}

export function account(name: string, space = 'shop'): string {
  return object('v1', 'ServiceAccount', { name, namespace: space }, {});
}

/** A pod `name` with the label `app: <name>`; its account is `default` unless said otherwise. */
export function pod(
  name: string,
  { node, account: serviceAccountName, labels = {}, annotations, ports = {} }: PodYaml,
  space = 'shop',
): string {
  return object(
    'v1',
    'Pod',
    {
      name,
      namespace: space,
      labels: { app: name, ...labels },
      ...(annotations === undefined ? {} : { annotations }),
    },
    {
      spec: {
        nodeName: `node-${node}`,
        ...(serviceAccountName === undefined ? {} : { serviceAccountName }),
        containers: [
          {
            name: 'main',
            command: ['true'],
            ports: Object.entries(ports).map(([named, containerPort]) => ({
              name: named,
              containerPort,
            })),
          },
        ],
      },
    },
  );
}

export function service(
  name: string,
  app: string,
  port: number,
  more: object = {},
  space = 'shop',
): string {
  return object(
    'v1',
    'Service',
    { name, namespace: space },
    { spec: { selector: { app }, ports: [{ name: 'main', port }], ...more } },
  );
}

export function policy(
  name: string,
  spec: object,
  more: { space?: string; annotations?: object } = {},
): string {
  const { space = 'shop', annotations } = more;
  const meta = { name, namespace: space, ...(annotations === undefined ? {} : { annotations }) };
  return object('plumbline.dev/v1alpha1', 'AuthorizationPolicy', meta, { spec });
}

export function peerAuthentication(name: string, spec: object, space = 'shop'): string {
  return object(
    'plumbline.dev/v1alpha1',
    'PeerAuthentication',
    { name, namespace: space },
    { spec },
  );
}

/** Any object; JSON is YAML. */
export function object(apiVersion: string, kind: string, metadata: object, rest: object): string {
  return JSON.stringify({ apiVersion, kind, metadata, ...rest }, null, 1);
}

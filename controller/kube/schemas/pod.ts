/**
 * Pod, and the pod spec that Deployments share.
 *
 * The image is not looked at: a container is its command, run as a process in the pod's namespaces.
 */
import type { ContainerPort, DesiredContainer, Probe } from '#common/control/desired.ts';
import {
  either,
  flag,
  integer,
  list,
  oneOf,
  optional,
  record,
  required,
  text,
  convert,
  withDefault,
  type Infer,
  type Path,
  type Report,
} from '../schema.ts';
import { dnsLabel, labels, namespacedMeta, objectName, port, portName } from './shared.ts';

const containerPort = record(
  {
    name: withDefault(portName, ''),
    containerPort: required(port),
    protocol: withDefault(oneOf('TCP', 'UDP'), 'TCP'),
  },
  [],
);

const header = record({ name: required(text()), value: required(text()) });
const seconds = integer(1, 3600);
const probe = record({
  httpGet: optional(
    record({
      path: withDefault(
        text('a path that begins with "/"', (p) => p.startsWith('/')),
        '/',
      ),
      port: required(either(port, portName)),
      scheme: withDefault(oneOf('HTTP'), 'HTTP'),
      httpHeaders: withDefault(list(header, { max: 64 }), []),
    }),
  ),
  tcpSocket: optional(record({ port: required(either(port, portName)) })),
  initialDelaySeconds: withDefault(integer(0, 3600), 0),
  periodSeconds: withDefault(seconds, 10),
  timeoutSeconds: withDefault(seconds, 1),
  successThreshold: withDefault(integer(1, 100), 1),
  failureThreshold: withDefault(integer(1, 100), 3),
});

const variable = record({
  name: required(text('a variable name', (name) => /^[^=\0]+$/.test(name))),
  value: withDefault(text('a string; numbers and true need quotes'), ''),
});

const container = record(
  {
    name: required(dnsLabel),
    command: required(list(text('a string; numbers and true need quotes'), { min: 1, max: 1000 })),
    args: withDefault(list(text('a string; numbers and true need quotes'), { max: 1000 }), []),
    env: withDefault(list(variable, { max: 1000 }), []),
    workingDir: withDefault(text(), ''),
    ports: withDefault(list(containerPort, { max: 100 }), []),
    readinessProbe: optional(probe),
    livenessProbe: optional(probe),
  },
  ['image', 'imagePullPolicy', 'resources'],
);

const rawSpec = record({
  containers: required(list(container, { min: 1, max: 20 })),
  serviceAccountName: withDefault(objectName, 'default'),
  nodeName: withDefault(objectName, ''),
  nodeSelector: withDefault(labels, {}),
  hostNetwork: withDefault(flag, false),
  restartPolicy: withDefault(oneOf('Always', 'OnFailure', 'Never'), 'Always'),
  terminationGracePeriodSeconds: withDefault(integer(0, 3600), 30),
});

/** What a pod runs and where it may run: everything but its name and its labels. */
export interface PodSpec {
  readonly serviceAccount: string;
  readonly nodeName: string;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly hostNetwork: boolean;
  readonly restartPolicy: 'Always' | 'OnFailure' | 'Never';
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly DesiredContainer[];
}

export const podSpec = convert(rawSpec, (raw, path, report): PodSpec | undefined => {
  const named = namedPorts(raw.containers);
  const names = new Set<string>();
  const containers = raw.containers.map((one, i) => {
    const at = [...path, 'containers', i];
    if (names.has(one.name)) report([...at, 'name'], `a second container "${one.name}"`);
    else names.add(one.name);
    const [readinessProbe, livenessProbe] = (['readinessProbe', 'livenessProbe'] as const).map(
      (field) => convertProbe(one[field], named, [...at, field], report),
    );
    return { ...one, readinessProbe, livenessProbe };
  });
  const { serviceAccountName, ...rest } = raw;
  const isGood = containers.every(
    (one, i) =>
      (one.readinessProbe === undefined) === (raw.containers[i]?.readinessProbe === undefined) &&
      (one.livenessProbe === undefined) === (raw.containers[i]?.livenessProbe === undefined),
  );
  if (!isGood || names.size < containers.length) return undefined;
  return { ...rest, containers, serviceAccount: serviceAccountName };
});

export const podSchema = record(
  {
    metadata: required(namespacedMeta),
    spec: required(podSpec),
  },
  ['status'],
);

type NamedPort = Omit<ContainerPort, 'protocol'> & { readonly protocol: string };

/** TCP ports by name, over all containers; the first of a name counts. */
export function namedPorts(
  containers: readonly { readonly ports: readonly NamedPort[] }[],
): Record<string, number> {
  const named: Record<string, number> = {};
  for (const one of containers.flatMap(({ ports }) => ports)) {
    if (one.name !== '' && one.protocol === 'TCP') named[one.name] ??= one.containerPort;
  }
  return named;
}

function convertProbe(
  raw: Infer<typeof probe> | undefined,
  named: Readonly<Record<string, number>>,
  path: Path,
  report: Report,
): Probe | undefined {
  if (raw === undefined) return undefined;
  const { httpGet, tcpSocket, ...timing } = raw;
  if ((httpGet === undefined) === (tcpSocket === undefined)) {
    report(path, 'expected exactly one of httpGet, tcpSocket');
    return undefined;
  }
  const kind = httpGet === undefined ? 'tcpSocket' : 'httpGet';
  const wanted = httpGet?.port ?? tcpSocket?.port ?? 0;
  const number = typeof wanted === 'number' ? wanted : named[wanted];
  if (number === undefined) {
    const known = Object.keys(named).join(', ') || 'a number: no port has a name';
    report([...path, kind, 'port'], `no container port "${wanted}"; expected ${known}`);
    return undefined;
  }
  if (httpGet === undefined) return { check: { kind: 'tcp', port: number }, ...timing };
  const { path: target, httpHeaders: headers } = httpGet;
  return { check: { kind: 'http', path: target, port: number, headers }, ...timing };
}

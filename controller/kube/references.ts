/**
 * What one document cannot know: doubles, and references to things that are not there.
 *
 * An API server takes many dangling references and waits; a directory is complete when it is
 * written, so here they are mistakes. Namespaces that every cluster has need not be written.
 */
import { DEFAULT_MODEL_OPTIONS } from '../model/diff.ts';
import { keyOf } from '../model/objects.ts';
import { selects } from '../model/selector.ts';
import { hasLabels } from '../model/store.ts';
import type { Problem } from '#common/control/desired.ts';
import { objectTitle, problemOf, type Located } from './directory-decode.ts';
import { nearest, type Path } from './schema.ts';
import { namedPorts, type PodSpec } from './schemas/pod.ts';
import type { Declared } from './schemas/kinds.ts';
import { switchProblems } from './switches.ts';

/** There without being written. */
export const BUILT_IN_NAMESPACES: readonly string[] = [
  'default',
  DEFAULT_MODEL_OPTIONS.rootNamespace,
];

export function checkReferences(all: readonly Located[]): Problem[] {
  const world = new World(all);
  return [
    ...duplicates(all),
    ...sharedAddresses(all),
    ...all.flatMap((located) => [
      ...namespaceOf(located, world),
      ...switchProblems(located),
      ...referencesOf(located, world),
    ]),
  ];
}

class World {
  readonly #byKind = new Map<Declared['kind'], Map<string, Located>>();

  constructor(all: readonly Located[]) {
    for (const located of all) {
      const { kind, meta } = located.object;
      const known = this.#byKind.get(kind) ?? new Map<string, Located>();
      this.#byKind.set(kind, known.set(keyOf(meta), located));
    }
  }

  names(kind: Declared['kind']): string[] {
    return [...(this.#byKind.get(kind)?.keys() ?? [])];
  }

  has(kind: Declared['kind'], key: string): boolean {
    return this.#byKind.get(kind)?.has(key) ?? false;
  }

  objects(kind: Declared['kind']): Declared[] {
    return [...(this.#byKind.get(kind)?.values() ?? [])].map(({ object }) => object);
  }
}

function duplicates(all: readonly Located[]): Problem[] {
  const first = new Map<string, Located>();
  const problems: Problem[] = [];
  for (const located of all) {
    const title = objectTitle(located.object);
    const other = first.get(title);
    if (other === undefined) {
      first.set(title, located);
      continue;
    }
    const place = `${other.document.file}:${other.document.lineOf(['metadata', 'name'])}`;
    const message = `already at ${place}; expected each object once`;
    problems.push(problemOf(located, ['metadata', 'name'], message));
  }
  return problems;
}

function sharedAddresses(all: readonly Located[]): Problem[] {
  const owners = new Map<string, Located>();
  const problems: Problem[] = [];
  for (const located of all) {
    if (located.object.kind !== 'Service') continue;
    for (const address of located.object.clusterIps) {
      const other = owners.get(address);
      if (other === undefined) owners.set(address, located);
      else if (objectTitle(other.object) !== objectTitle(located.object)) {
        const message = `"${address}" belongs to ${objectTitle(other.object)}; expected an address of its own`;
        problems.push(problemOf(located, ['spec', 'clusterIP'], message));
      }
    }
  }
  return problems;
}

function namespaceOf(located: Located, world: World): Problem[] {
  const { namespace } = located.object.meta;
  if (namespace === '' || BUILT_IN_NAMESPACES.includes(namespace)) return [];
  return dangling(located, ['metadata', 'namespace'], world, 'Namespace', namespace);
}

function referencesOf(located: Located, world: World): Problem[] {
  const { object } = located;
  switch (object.kind) {
    case 'Pod':
      return podReferences(located, object.spec, ['spec'], world);
    case 'Deployment':
      return podReferences(located, object.template.spec, ['spec', 'template', 'spec'], world);
    case 'Service':
      return object.ports.flatMap(({ targetPort, port }) =>
        typeof targetPort === 'string' ? targetPortProblems(located, port, targetPort, world) : [],
      );
    case 'EndpointSlice':
      return sliceReferences(located, object.service, world);
    case 'WorkloadEntry':
      return account(located, object.endpoint.serviceAccount, ['spec', 'serviceAccount'], world);
    case 'ServiceEntry':
      return object.endpoints.flatMap(({ serviceAccount }, i) =>
        account(located, serviceAccount, ['spec', 'endpoints', i, 'serviceAccount'], world),
      );
    case 'Namespace':
    case 'Node':
    case 'ServiceAccount':
    case 'NetworkPolicy':
    case 'AuthorizationPolicy':
    case 'PeerAuthentication':
    // What a route refers to and does not find is said by its status, which is a warning here.
    case 'HTTPRoute':
    case 'GRPCRoute':
    case 'TLSRoute':
    case 'TCPRoute':
    case 'UDPRoute':
    case 'Gateway':
    case 'ReferenceGrant':
      break;
  }
  return [];
}

function podReferences(located: Located, spec: PodSpec, path: Path, world: World): Problem[] {
  const problems = account(located, spec.serviceAccount, [...path, 'serviceAccountName'], world);
  if (spec.nodeName !== '') {
    return [...problems, ...dangling(located, [...path, 'nodeName'], world, 'Node', spec.nodeName)];
  }
  const fits = world.objects('Node').some(({ meta }) => nodeFits(meta.labels, spec, meta.name));
  if (fits) return problems;
  const hasNodes = world.names('Node').length > 0;
  const message = hasNodes
    ? 'selects no Node; expected the labels of at least one'
    : 'no Node to run on; expected at least one object of kind Node';
  const at = hasNodes ? [...path, 'nodeSelector'] : path;
  return [...problems, problemOf(located, at, message)];
}

/** Says whether a pod without a node name may run on a node; the host name is a label of each. */
export function nodeFits(
  labels: Readonly<Record<string, string>>,
  spec: PodSpec,
  name: string,
): boolean {
  const all = { 'kubernetes.io/hostname': name, ...labels };
  return selects({ matchLabels: spec.nodeSelector, matchExpressions: [] }, all);
}

function account(located: Located, name: string, path: Path, world: World): Problem[] {
  if (name === 'default') return [];
  return dangling(located, path, world, 'ServiceAccount', name, located.object.meta.namespace);
}

/** A name that none of the selected pods gives to a port would leave the service without endpoints. */
function targetPortProblems(located: Located, port: number, name: string, world: World): Problem[] {
  const { object } = located;
  if (object.kind !== 'Service' || !hasLabels(object.selector)) return [];
  const selector = { matchLabels: object.selector, matchExpressions: [] };
  const specs = [...world.objects('Pod'), ...world.objects('Deployment')].flatMap((one) => {
    if (one.meta.namespace !== object.meta.namespace) return [];
    if (one.kind === 'Pod') return selects(selector, one.meta.labels) ? [one.spec] : [];
    if (one.kind !== 'Deployment') return [];
    return selects(selector, one.template.labels) ? [one.template.spec] : [];
  });
  const known = [...new Set(specs.flatMap((spec) => Object.keys(namedPorts(spec.containers))))];
  if (specs.length === 0 || known.includes(name)) return [];
  const near = nearest(name, known);
  const expected = known.length === 0 ? 'a number: their ports have no names' : known.join(', ');
  const hint = near === undefined ? '' : `; did you mean "${near}"?`;
  const message = `targetPort "${name}" of port ${port} is no port of the selected pods; expected ${expected}${hint}`;
  const { document } = located;
  return [
    problemOf(located, ['spec', 'ports', portIndex(document.value, port), 'targetPort'], message),
  ];
}

function sliceReferences(located: Located, service: string, world: World): Problem[] {
  const { object } = located;
  if (object.kind !== 'EndpointSlice') return [];
  const { namespace } = object.meta;
  const path = ['metadata', 'labels', 'kubernetes.io/service-name'];
  const found = dangling(located, path, world, 'Service', service, namespace);
  const target = world
    .objects('Service')
    .find((one) => one.meta.namespace === namespace && one.meta.name === service);
  if (target?.kind === 'Service' && hasLabels(target.selector)) {
    const message = `Service "${service}" has a selector, so its slices are derived; expected one without`;
    found.push(problemOf(located, path, message));
  }
  for (const [i, { pod, node }] of object.endpoints.entries()) {
    const at: Path = ['endpoints', i];
    if (pod !== '') {
      found.push(...dangling(located, [...at, 'targetRef', 'name'], world, 'Pod', pod, namespace));
    }
    if (node !== '') found.push(...dangling(located, [...at, 'nodeName'], world, 'Node', node));
  }
  return found;
}

function dangling(
  located: Located,
  path: Path,
  world: World,
  kind: Declared['kind'],
  name: string,
  namespace = '',
): Problem[] {
  const prefix = namespace === '' ? '' : `${namespace}/`;
  if (world.has(kind, prefix + name)) return [];
  const known = world
    .names(kind)
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length));
  const near = nearest(name, known);
  const where = namespace === '' ? '' : ` in namespace "${namespace}"`;
  const hint = near === undefined ? '' : `; did you mean "${near}"?`;
  const message = `no ${kind} "${name}"${where}; expected one that the directory holds${hint}`;
  return [problemOf(located, path, message)];
}

/** Where the port stands in the document: UDP ports before it are not in the object. */
function portIndex(value: unknown, port: number): number {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the schema has read this document
  const { spec } = value as { spec: { ports: readonly { port: number; protocol?: string }[] } };
  return spec.ports.findIndex((one) => one.port === port && one.protocol !== 'UDP');
}

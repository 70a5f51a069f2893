/**
 * The kinds that the mesh reads from an API server, and how each is read.
 *
 * Kinds of Kubernetes itself are read for the fields that count, since the API server has checked
 * them. Kinds of CRDs (ours, Istio's) are read by the schemas of the directory: a field that we do
 * not implement is refused by name. What cannot be read is a problem of that object alone; a policy
 * is then replaced by its stand-in, everything else is left out.
 */
import { keyOf, type MeshKind, type MeshObject } from '../model/objects.ts';
import type { Reading } from './reflection.ts';
import type { Resource } from './resource.ts';
import {
  convert,
  formatPath,
  isMapping,
  openRecord,
  required,
  type Path,
  type Schema,
} from './schema.ts';
import { KINDS, type Declared } from './schemas/kinds.ts';
import { servedMeta } from './schemas/served-meta.ts';
import { servedNetworkPolicy } from './schemas/network-policy.ts';
import { servedPod } from './schemas/served-pod.ts';
import { servedService, servedSlice } from './schemas/served-service.ts';
import { standIn } from './stand-in.ts';

/** A kind that every cluster serves. */
export interface BuiltInKind {
  readonly kind: MeshKind;
  readonly resource: Resource;
  readonly schema: Schema<{ readonly object: MeshObject | undefined }>;
}

/** A kind that is there where its CRD is installed. */
export interface CustomKind {
  readonly kind: MeshKind;
  readonly group: string;
  /** The first that is served is read. */
  readonly versions: readonly string[];
}

export interface Complaint {
  /** `spec.rules[0].from`. */
  readonly field: string;
  readonly message: string;
}

/** A reading, and what is to be said to the author of the object. */
export interface Judged extends Reading {
  readonly generation: number;
  /** Empty: it is in force as written. */
  readonly complaints: readonly Complaint[];
}

export const BUILT_IN: readonly BuiltInKind[] = [
  builtIn('Namespace', '', 'v1', 'namespaces', meta('Namespace')),
  builtIn('Node', '', 'v1', 'nodes', meta('Node')),
  builtIn('Pod', '', 'v1', 'pods', whole(servedPod)),
  builtIn('Service', '', 'v1', 'services', servedService),
  builtIn('EndpointSlice', 'discovery.k8s.io', 'v1', 'endpointslices', servedSlice),
  builtIn(
    'NetworkPolicy',
    'networking.k8s.io',
    'v1',
    'networkpolicies',
    whole(servedNetworkPolicy),
  ),
];

const CUSTOM_KINDS = [
  'AuthorizationPolicy',
  'PeerAuthentication',
  'ServiceEntry',
  'WorkloadEntry',
] as const;

/** In the order of precedence: our group first. */
export const CUSTOM: readonly CustomKind[] = CUSTOM_KINDS.flatMap((kind) => {
  const versionsByGroup = new Map<string, string[]>();
  for (const [group = '', version = ''] of KINDS[kind].apiVersions.map((one) => one.split('/'))) {
    versionsByGroup.set(group, [...(versionsByGroup.get(group) ?? []), version]);
  }
  return [...versionsByGroup].map(([group, versions]) => ({ kind, group, versions }));
});

export function readBuiltIn({ kind, schema }: BuiltInKind, raw: unknown): Judged {
  return judge(kind, raw, (report) => schema.read(raw, [], report)?.object);
}

export function readCustom(kind: CustomKind['kind'], raw: unknown): Judged {
  return judge(kind, raw, (report) => {
    if (!isMapping(raw)) return undefined;
    const { apiVersion: _version, kind: _kind, metadata, ...rest } = raw;
    const schema = KINDS[customKind(kind)].schema;
    const read = schema.read({ ...rest, metadata: authored(metadata) }, [], report);
    return read !== undefined && isCustom(read) ? read : undefined;
  });
}

function isCustom(
  one: Declared,
): one is Extract<Declared, { kind: (typeof CUSTOM_KINDS)[number] }> {
  return CUSTOM_KINDS.some((kind) => kind === one.kind);
}

function judge(
  kind: MeshKind,
  raw: unknown,
  read: (report: (path: Path, message: string) => void) => MeshObject | undefined,
): Judged {
  const complaints: Complaint[] = [];
  const object = read((path, message) => complaints.push({ field: formatPath(path), message }));
  const { metadata } = isMapping(raw) ? raw : {};
  const generation = isMapping(metadata) ? Number(metadata['generation'] ?? 0) : 0;
  if (object !== undefined && complaints.length === 0) {
    return { key: keyOf(object.meta), object, generation, complaints };
  }
  const found = servedMeta.read(metadata, [], () => undefined);
  const key = found === undefined ? '' : keyOf(found.meta);
  if (complaints.length === 0 || found === undefined) {
    return { key, object: undefined, generation, complaints };
  }
  const spec = isMapping(raw) ? raw['spec'] : undefined;
  return { key, object: standIn(kind, found.meta, spec), generation, complaints };
}

/** Metadata without what the API server adds, so that a strict schema takes it. */
function authored(metadata: unknown): unknown {
  const read = servedMeta.read(metadata, [], () => undefined);
  if (read === undefined || !isMapping(metadata)) return metadata;
  const { name, namespace, labels, annotations } = read.meta;
  return { name, namespace, labels, annotations, creationTimestamp: metadata['creationTimestamp'] };
}

function customKind(kind: MeshKind): (typeof CUSTOM_KINDS)[number] {
  const found = CUSTOM_KINDS.find((one) => one === kind);
  if (found === undefined) throw new TypeError(`${kind} is no kind of a CRD`);
  return found;
}

function builtIn(
  kind: MeshKind,
  group: string,
  version: string,
  plural: string,
  schema: BuiltInKind['schema'],
): BuiltInKind {
  return { kind, resource: { group, version, plural }, schema };
}

function whole<T extends MeshObject>(schema: Schema<T>): BuiltInKind['schema'] {
  return convert(schema, (object) => ({ object }));
}

function meta(kind: 'Namespace' | 'Node'): BuiltInKind['schema'] {
  return convert(openRecord({ metadata: required(servedMeta) }), ({ metadata }) => ({
    object: { kind, meta: metadata.meta },
  }));
}

/**
 * The directory as a cluster: declared objects, planned pods and what is known of them at run time,
 * put together into the objects of the model and the state that the runner should bring about.
 *
 * Pure. Every object of the directory is rebuilt from the whole each time and compared with what was
 * handed over before, so a change that was missed once is made good by the next.
 */
import type { ObjectChange } from '../model/diff.ts';
import { equal } from '../model/equal.ts';
import type { MeshObject, NamespaceObject, PodObject } from '../model/objects.ts';
import { keyOf } from '../model/objects.ts';
import { deriveHosts, deriveSlices } from './derive.ts';
import type { DesiredPod, DesiredState, PodRuntime } from '#common/control/desired.ts';
import { BUILT_IN_NAMESPACES } from './references.ts';
import type { PlannedPod } from './rollout.ts';
import type { Declared } from './schemas/kinds.ts';
import { namedPorts } from './schemas/pod.ts';
import type { DeclaredService } from './schemas/service.ts';

export interface World {
  readonly declared: readonly Declared[];
  /** With their addresses, which those in `declared` may lack. */
  readonly services: readonly DeclaredService[];
  readonly pods: readonly PlannedPod[];
  readonly runtimeByUid: ReadonlyMap<string, PodRuntime>;
  readonly domain: string;
}

export type Desired = Pick<DesiredState, 'nodes' | 'pods' | 'hosts'>;

export function assemble(world: World): { objects: MeshObject[]; desired: Desired } {
  const { services } = world;
  const pods = visiblePods(world).map((pod) => podObject(pod, world.runtimeByUid.get(pod.podUid)));
  const slices = [...only(world.declared, 'EndpointSlice'), ...deriveSlices(services, pods)];
  const entries = only(world.declared, 'ServiceEntry');
  const nodes = only(world.declared, 'Node');
  const objects: MeshObject[] = [
    ...builtInNamespaces(world.declared),
    ...only(world.declared, 'Namespace'),
    ...nodes,
    ...pods,
    ...services,
    ...slices,
    ...only(world.declared, 'NetworkPolicy'),
    ...only(world.declared, 'AuthorizationPolicy'),
    ...only(world.declared, 'PeerAuthentication'),
    ...entries,
    ...only(world.declared, 'WorkloadEntry'),
  ];
  const desired = {
    nodes: nodes.map(({ meta }) => ({ name: meta.name, labels: meta.labels })),
    pods: world.pods.filter(({ leaving }) => !leaving).map(desiredPod),
    hosts: deriveHosts(services, entries, slices, world.domain),
  };
  return { objects, desired };
}

/** The objects of one kind among those declared. */
export function only<K extends Declared['kind']>(
  declared: readonly Declared[],
  kind: K,
): Extract<Declared, { kind: K }>[] {
  return declared.filter(
    (object): object is Extract<Declared, { kind: K }> => object.kind === kind,
  );
}

/** Remembers what was handed over, and says how the next state differs from it. */
export class ObjectDiff {
  #known = new Map<string, MeshObject>();

  changesTo(objects: readonly MeshObject[]): ObjectChange[] {
    const next = new Map(objects.map((object) => [`${object.kind} ${keyOf(object.meta)}`, object]));
    const changes: ObjectChange[] = [];
    for (const [key, object] of next) {
      if (!equal(this.#known.get(key), object)) changes.push({ type: 'set', object });
    }
    for (const [key, { kind, meta }] of this.#known) {
      if (next.has(key)) continue;
      changes.push({ type: 'delete', kind, namespace: meta.namespace, name: meta.name });
    }
    this.#known = next;
    return changes;
  }
}

/** One pod a name: a pod of the same name that is still leaving is seen until it is gone. */
function visiblePods({ pods }: World): PlannedPod[] {
  const byName = new Map<string, PlannedPod>();
  for (const pod of pods) {
    const key = `${pod.namespace}/${pod.name}`;
    if (byName.get(key)?.leaving !== false) byName.set(key, pod);
  }
  return [...byName.values()];
}

function podObject(pod: PlannedPod, runtime: PodRuntime | undefined): PodObject {
  const { template, owner } = pod;
  return {
    kind: 'Pod',
    meta: {
      name: pod.name,
      namespace: pod.namespace,
      labels: template.labels,
      annotations: template.annotations,
      createdMs: pod.createdMs,
    },
    podUid: pod.podUid,
    node: pod.node,
    serviceAccount: template.spec.serviceAccount,
    hostNetwork: template.spec.hostNetwork,
    addresses: runtime?.addresses ?? [],
    phase: runtime?.phase ?? 'Pending',
    ready: runtime?.ready ?? false,
    terminating: pod.leaving || (runtime?.terminating ?? false),
    namedPorts: namedPorts(template.spec.containers),
    owner: owner.kind === 'Deployment' ? owner : undefined,
  };
}

function desiredPod(pod: PlannedPod): DesiredPod {
  const { spec, labels } = pod.template;
  return {
    podUid: pod.podUid,
    namespace: pod.namespace,
    name: pod.name,
    node: pod.node,
    labels,
    serviceAccount: spec.serviceAccount,
    hostNetwork: spec.hostNetwork,
    restartPolicy: spec.restartPolicy,
    terminationGracePeriodSeconds: spec.terminationGracePeriodSeconds,
    containers: spec.containers,
  };
}

function builtInNamespaces(declared: readonly Declared[]): NamespaceObject[] {
  const written = new Set(only(declared, 'Namespace').map(({ meta }) => meta.name));
  return BUILT_IN_NAMESPACES.filter((name) => !written.has(name)).map((name) => ({
    kind: 'Namespace',
    meta: { name, namespace: '', labels: {}, annotations: {}, createdMs: 0 },
  }));
}

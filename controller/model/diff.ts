/**
 * What goes into the model and what comes out of it.
 *
 * A change names one object and gives its whole new state, so applying it twice, or after changes
 * that were lost, still ends in the truth. A diff holds only what differs from the diff before.
 */
import type { Policy } from '#common/mesh/policy.ts';
import type { Service } from '#common/mesh/service.ts';
import type { LocalPod, Workload } from '#common/mesh/workload.ts';
import type { MeshKind, MeshObject } from './objects.ts';

export type ObjectChange =
  | { readonly type: 'set'; readonly object: MeshObject }
  | {
      readonly type: 'delete';
      readonly kind: MeshKind;
      readonly namespace: string;
      readonly name: string;
    };

export interface ModelOptions {
  readonly cluster: string;
  readonly trustDomain: string;
  /** Ends every host name of a Service: `<name>.<namespace>.svc.<domain>`. */
  readonly domain: string;
  /** Policies here apply to the whole mesh, and nothing here is ever captured. */
  readonly rootNamespace: string;
  /** Never captured, whatever their labels say. */
  readonly excludedNamespaces: readonly string[];
  /**
   * When peers begin to use the tunnel to a pod: as soon as its labels ask for the mesh, or only
   * once its agent has said that it is captured (`CaptureReport`), so that live enrolment refuses
   * no connection.
   */
  readonly tunnelWhen: 'enrolled' | 'captured';
}

export const DEFAULT_MODEL_OPTIONS: ModelOptions = {
  cluster: 'Kubernetes',
  trustDomain: 'cluster.local',
  domain: 'cluster.local',
  rootNamespace: 'plumbline-system',
  excludedNamespaces: ['kube-system'],
  tunnelWhen: 'enrolled',
};

/**
 * A pod and the node whose agent must know it. A pod that was made again under its name keeps its
 * `uid` and may have another node: then the old node has to forget it.
 */
export interface PlacedPod {
  readonly node: string;
  readonly pod: LocalPod;
}

/** Something that an author should know about an object that was taken all the same. */
export interface ModelWarning {
  /** `AuthorizationPolicy shop/admins`. */
  readonly object: string;
  readonly field: string;
  readonly message: string;
}

export interface ModelDiff {
  readonly workloads: readonly Workload[];
  readonly services: readonly Service[];
  readonly policies: readonly Policy[];
  readonly pods: readonly PlacedPod[];
  /** Primary keys of what is gone. */
  readonly removed: {
    readonly workloads: readonly string[];
    readonly services: readonly string[];
    readonly policies: readonly string[];
    readonly pods: readonly string[];
  };
  /** Of the objects that were looked at this time. */
  readonly warnings: readonly ModelWarning[];
  /** How many were worked out again, changed or not: the cost of the change. */
  readonly rebuilt: {
    readonly workloads: number;
    readonly services: number;
    readonly policies: number;
  };
}

export function kindOf(change: ObjectChange): MeshKind {
  return change.type === 'set' ? change.object.kind : change.kind;
}

/** Says whether anything differs that an agent could see. */
export function isEmptyDiff(diff: ModelDiff): boolean {
  const { removed } = diff;
  return [
    diff.workloads,
    diff.services,
    diff.policies,
    diff.pods,
    removed.workloads,
    removed.services,
    removed.policies,
    removed.pods,
  ].every((list) => list.length === 0);
}

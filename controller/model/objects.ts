/**
 * What the model is made of: the Kubernetes objects that it reads, cut down to the fields that count.
 *
 * Plain data, already decoded and defaulted by whoever read it (controller/kube), the same from an
 * API server as from a directory of YAML. Absent means what Kubernetes says that absent means, so
 * nothing further in has to know a default.
 */
import type { PodPhase } from '#common/control/desired.ts';
export type Labels = Readonly<Record<string, string>>;

export interface Meta {
  readonly name: string;
  /** '' for objects of the cluster: Namespace, Node. */
  readonly namespace: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  /** Milliseconds since 1970; the older of two equals wins. */
  readonly createdMs: number;
}

export interface LabelSelector {
  readonly matchLabels: Labels;
  readonly matchExpressions: readonly LabelRequirement[];
}

export interface LabelRequirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

export interface NamespaceObject {
  readonly kind: 'Namespace';
  readonly meta: Meta;
}

export interface NodeObject {
  readonly kind: 'Node';
  readonly meta: Meta;
}

export interface PodObject {
  readonly kind: 'Pod';
  readonly meta: Meta;
  readonly podUid: string;
  readonly node: string;
  readonly serviceAccount: string;
  readonly hostNetwork: boolean;
  /** Canonical text; empty until the pod has any. */
  readonly addresses: readonly string[];
  readonly phase: PodPhase;
  readonly ready: boolean;
  readonly terminating: boolean;
  /** TCP ports that containers name. */
  readonly namedPorts: Readonly<Record<string, number>>;
  /** Whether its condition `plumbline.dev/Captured` is true; absent where nothing is written down. */
  readonly captured?: boolean;
  /** The controller above, a Deployment rather than its ReplicaSet; undefined for a bare pod. */
  readonly owner: { readonly kind: string; readonly name: string } | undefined;
}

export type { PodPhase };

export interface ServiceObject {
  readonly kind: 'Service';
  readonly meta: Meta;
  /** Canonical text. Empty for a headless service and for one that has not been given any yet. */
  readonly clusterIps: readonly string[];
  readonly headless: boolean;
  /** Undefined: its EndpointSlices are written by somebody else. */
  readonly selector: Labels | undefined;
  /** TCP ports only. */
  readonly ports: readonly ServicePortSpec[];
  readonly publishNotReadyAddresses: boolean;
  readonly clientIpAffinitySeconds: number;
  readonly internalTrafficPolicy: 'Cluster' | 'Local';
  readonly trafficDistribution: string;
}

export interface ServicePortSpec {
  readonly name: string;
  readonly port: number;
  /** A number, or the name of a container port. */
  readonly targetPort: number | string;
  readonly appProtocol: string;
}

export interface EndpointSliceObject {
  readonly kind: 'EndpointSlice';
  readonly meta: Meta;
  /** Name of the Service, in the same namespace. */
  readonly service: string;
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  readonly endpoints: readonly SliceEndpoint[];
}

export interface SliceEndpoint {
  readonly addresses: readonly string[];
  readonly ready: boolean;
  readonly terminating: boolean;
  /** Name of the pod, in the same namespace; '' when there is none behind it. */
  readonly pod: string;
  readonly node: string;
}

export interface NetworkPolicyObject {
  readonly kind: 'NetworkPolicy';
  readonly meta: Meta;
  readonly podSelector: LabelSelector;
  /** Undefined: the policy says nothing of ingress, so it isolates nothing here. */
  readonly ingress: readonly IngressRule[] | undefined;
}

export interface IngressRule {
  /** Empty: from anywhere. */
  readonly from: readonly NetworkPeer[];
  /** Undefined: to every port. Empty: only ports of other protocols were named, so to none. */
  readonly ports: readonly NetworkPort[] | undefined;
}

export type NetworkPeer =
  | { readonly kind: 'block'; readonly cidr: string; readonly except: readonly string[] }
  | {
      readonly kind: 'pods';
      /** Undefined: the namespace of the policy. */
      readonly namespaces: LabelSelector | undefined;
      /** Undefined: every pod of those namespaces. */
      readonly pods: LabelSelector | undefined;
    };

/** A port, by number (then up to `endPort`) or by the name that the selected pod gives it. */
export interface NetworkPort {
  readonly port: number | string;
  readonly endPort: number;
}

export interface AuthorizationPolicyObject {
  readonly kind: 'AuthorizationPolicy';
  readonly meta: Meta;
  /** Undefined: the whole namespace, or the whole mesh when it is the root namespace. */
  readonly selector: Labels | undefined;
  readonly action: 'ALLOW' | 'DENY' | 'AUDIT';
  readonly rules: readonly AuthorizationRule[];
}

/** As written: lists of sources and operations are OR-ed, from, to and when are AND-ed. */
export interface AuthorizationRule {
  readonly from: readonly FieldValues[] | undefined;
  readonly to: readonly FieldValues[] | undefined;
  readonly when: readonly Condition[] | undefined;
}

/** Fields of a source or an operation, by the name they have in the resource. */
export type FieldValues = Readonly<Record<string, readonly string[]>>;

export interface Condition {
  readonly key: string;
  readonly values: readonly string[];
  readonly notValues: readonly string[];
}

export type MtlsMode = 'UNSET' | 'DISABLE' | 'PERMISSIVE' | 'STRICT';

export interface PeerAuthenticationObject {
  readonly kind: 'PeerAuthentication';
  readonly meta: Meta;
  readonly selector: Labels | undefined;
  readonly mode: MtlsMode;
  /** Only with a selector, as in Istio. */
  readonly portModes: Readonly<Record<string, MtlsMode>>;
}

export interface ServiceEntryObject {
  readonly kind: 'ServiceEntry';
  readonly meta: Meta;
  readonly hosts: readonly string[];
  /** Addresses in canonical text, or CIDRs. */
  readonly addresses: readonly string[];
  readonly ports: readonly EntryPort[];
  readonly resolution: 'NONE' | 'STATIC' | 'DNS';
  readonly endpoints: readonly EntryEndpoint[];
  readonly workloadSelector: Labels | undefined;
  readonly exportTo: 'public' | 'namespace';
  readonly subjectAltNames: readonly string[];
}

export interface EntryPort {
  readonly name: string;
  readonly number: number;
  readonly protocol: string;
  readonly targetPort: number;
}

/** One member of a ServiceEntry, or the whole of a WorkloadEntry. */
export interface EntryEndpoint {
  /** Canonical address, or a host name to resolve. */
  readonly address: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly labels: Labels;
  readonly serviceAccount: string;
  /** `region/zone/subzone`, the later parts may be missing. */
  readonly locality: string;
  readonly weight: number;
}

export interface WorkloadEntryObject {
  readonly kind: 'WorkloadEntry';
  readonly meta: Meta;
  readonly endpoint: EntryEndpoint;
}

/**
 * What an agent has said of a pod: that it is captured. Sticky: an agent that is away takes nothing
 * back, so its pods never fall to plain text. Named like the pod, and void for any other `podUid`.
 */
export interface CaptureReport {
  readonly kind: 'CaptureReport';
  readonly meta: Meta;
  readonly podUid: string;
}

export type MeshObject =
  | NamespaceObject
  | NodeObject
  | PodObject
  | ServiceObject
  | EndpointSliceObject
  | NetworkPolicyObject
  | AuthorizationPolicyObject
  | PeerAuthenticationObject
  | ServiceEntryObject
  | WorkloadEntryObject
  | CaptureReport;

export type MeshKind = MeshObject['kind'];

/** `namespace/name`; the name alone for objects of the cluster. */
export function keyOf(meta: { readonly namespace: string; readonly name: string }): string {
  return meta.namespace === '' ? meta.name : `${meta.namespace}/${meta.name}`;
}

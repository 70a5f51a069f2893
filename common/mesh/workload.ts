/**
 * A workload as the mesh knows it: one pod, or one member of a ServiceEntry, with who it is, where
 * it is, how it is reached and which services it backs.
 *
 * Plain data. Addresses are canonical text (`canonicalAddress` of common/address.ts), so two equal
 * addresses are equal strings.
 */

/** How peers speak to a workload: through the tunnel, or in clear because no agent captures it. */
export type TunnelProtocol = 'hbone' | 'none';

/** `terminating` endpoints take no new connections; `not-ready` ones only where a service asks. */
export type Health = 'ready' | 'not-ready' | 'terminating';

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** A port of a service and the port of this workload that answers for it. */
export interface PortMapping {
  readonly servicePort: number;
  readonly targetPort: number;
}

export interface Membership {
  /** Key of the service: `<namespace>/<hostname>`. */
  readonly service: string;
  readonly ports: readonly PortMapping[];
}

export interface Workload {
  /** Primary key, `<cluster>//Pod/<namespace>/<name>` or `…/WorkloadEntry/…`, `…/ServiceEntry/…`. */
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly trustDomain: string;
  readonly addresses: readonly string[];
  /** Resolved by DNS when there is no address; '' otherwise. */
  readonly hostname: string;
  readonly node: string;
  readonly cluster: string;
  readonly tunnel: TunnelProtocol;
  /** Such a workload shares the node's address and is never looked up by it. */
  readonly hostNetwork: boolean;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly workloadName: string;
  readonly workloadType: 'deployment' | 'cronjob' | 'job' | 'pod';
  readonly locality: Locality;
  /** Weight in balancing; 0 means never. */
  readonly weight: number;
  readonly health: Health;
  readonly memberships: readonly Membership[];
  /** Keys of the policies that select this workload by labels; namespace and mesh ones are found. */
  readonly policies: readonly string[];
}

/** What an agent must know about a pod on its own node, beside its workload record. */
export interface LocalPod {
  /** The same uid as its workload's. */
  readonly uid: string;
  /** Names the pod's network namespace to the agent: see node-agent/pods/netns.ts. */
  readonly podUid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly addresses: readonly string[];
  /** Labelled for the mesh, and not exempt. */
  readonly enrolled: boolean;
  /** Why not, when not: `host network`, `not labelled`, `opted out`, `bypass`, …; '' when enrolled. */
  readonly exemption: string;
  readonly options: CaptureOptions;
}

export interface CaptureOptions {
  readonly excludeInboundPorts: readonly number[];
  readonly excludeOutboundPorts: readonly number[];
  readonly excludeOutboundCidrs: readonly string[];
  readonly dnsCapture: boolean;
  /** False in a namespace that fails open: no fence is loaded. */
  readonly failClosed: boolean;
  /** Cut the connections that stood before enrolment instead of letting them end in clear. */
  readonly cutExisting: boolean;
}

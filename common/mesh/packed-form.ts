/**
 * What packed updates agree on between the one who writes (pack.ts) and the one who reads (unpack.ts).
 *
 * A word is packed as its place in its list, so a list only ever grows at its end, and a change of
 * anything else here takes a new FORMAT. Both ends are one release: main and its workers, or an
 * agent and the file that its predecessor left.
 */
import type { Match, Policy } from './policy.ts';
import type { LoadBalancing, Scope, Service } from './service.ts';
import type { Health, Membership, TunnelProtocol, Workload } from './workload.ts';

export const MAGIC = Uint8Array.of(0x50, 0x4c, 0x4d, 0x55);
export const FORMAT = 1;
export const SNAPSHOT_FLAG = 1;

/** 50,000 workloads take about 3 MB. */
export const PACKED_MAX_BYTES = 256 * 1024 * 1024;
export const TEXT_MAX_BYTES = 4096;
export const UID_MAX_BYTES = 1024;
export const ADDRESSES_MAX = 64;
export const WEIGHT_MAX = 1_000_000;
export const PORT_MAX = 65_535;
/** In seconds: a week, far above the day that Kubernetes allows. */
export const AFFINITY_MAX_SECONDS = 604_800;

export const TUNNELS = ['hbone', 'none'] as const satisfies readonly TunnelProtocol[];
export const HEALTHS = ['ready', 'not-ready', 'terminating'] as const satisfies readonly Health[];
export const TYPES = [
  'deployment',
  'cronjob',
  'job',
  'pod',
] as const satisfies readonly Workload['workloadType'][];
export const SCOPES = [
  'region',
  'zone',
  'subzone',
  'node',
  'cluster',
] as const satisfies readonly Scope[];
export const MODES = [
  'any',
  'strict',
  'failover',
  'passthrough',
] as const satisfies readonly LoadBalancing['mode'][];
export const ALGORITHMS = [
  'random',
  'round-robin',
  'least-connections',
] as const satisfies readonly LoadBalancing['algorithm'][];
export const VISIBILITIES = [
  'public',
  'namespace',
] as const satisfies readonly Service['visibility'][];
export const LAYERS = [
  'peer-authentication',
  'network-policy',
  'authorization',
] as const satisfies readonly Policy['layer'][];
export const POLICY_SCOPES = [
  'mesh',
  'namespace',
  'selector',
] as const satisfies readonly Policy['scope'][];
export const ACTIONS = ['allow', 'deny', 'audit'] as const satisfies readonly Policy['action'][];

/** The fields of a `Match` by kind, in the order in which they are packed. */
export const TEXT_FIELDS = [
  'namespaces',
  'notNamespaces',
  'serviceAccounts',
  'notServiceAccounts',
  'principals',
  'notPrincipals',
] as const satisfies readonly (keyof Match)[];
export const CIDR_FIELDS = [
  'sourceIps',
  'notSourceIps',
  'destinationIps',
  'notDestinationIps',
] as const satisfies readonly (keyof Match)[];
export const PORT_FIELDS = [
  'destinationPorts',
  'notDestinationPorts',
] as const satisfies readonly (keyof Match)[];
export const MATCH_FIELDS = [...TEXT_FIELDS, ...CIDR_FIELDS, ...PORT_FIELDS] as const;

/** Where a workload stands: one for all workloads of a node. */
export interface Place {
  readonly node: string;
  readonly cluster: string;
  readonly locality: Workload['locality'];
}

/** All that the replicas of a deployment have in common, so it is kept once for all of them. */
export interface ShapeFields {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly trustDomain: string;
  readonly hostname: string;
  readonly tunnel: TunnelProtocol;
  readonly hostNetwork: boolean;
  /** Undefined where it is the workload's own name, as for a pod that nothing owns. */
  readonly canonicalName: string | undefined;
  readonly canonicalRevision: string;
  /** Undefined as `canonicalName` is. */
  readonly workloadName: string | undefined;
  readonly workloadType: Workload['workloadType'];
  readonly weight: number;
  readonly memberships: readonly Membership[];
  readonly policies: readonly string[];
}

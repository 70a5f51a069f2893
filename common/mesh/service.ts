/**
 * A service as the mesh knows it: a name, addresses, ports, and how its endpoints are chosen.
 *
 * Plain data. Which workloads stand behind it is said by the workloads (`Workload.memberships`).
 */
import type { Locality } from './workload.ts';

export type Scope = 'region' | 'zone' | 'subzone' | 'node' | 'cluster';

/**
 * How candidates are narrowed before one is picked: `any` takes all, `strict` only those that match
 * every scope, `failover` the best matching rank, `passthrough` none: the original destination.
 */
export type RoutingMode = 'any' | 'strict' | 'failover' | 'passthrough';

export type Algorithm = 'random' | 'round-robin' | 'least-connections';

export interface ServicePort {
  readonly name: string;
  readonly port: number;
  /** 0 for a named target port: each workload says its own. */
  readonly targetPort: number;
  readonly appProtocol: string;
}

export interface LoadBalancing {
  readonly algorithm: Algorithm;
  readonly mode: RoutingMode;
  /** Widest first, as in hbone.md: a rank is the number of consecutive matches from the first. */
  readonly scopes: readonly Scope[];
  /** Seconds for which a client address keeps its endpoint; 0 for no affinity. */
  readonly clientIpAffinitySeconds: number;
}

export interface Service {
  /** Primary key, `<namespace>/<hostname>`. */
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  /** Addresses, or CIDRs (`10.0.0.0/8`) of a ServiceEntry. Empty for a headless service. */
  readonly addresses: readonly string[];
  readonly ports: readonly ServicePort[];
  readonly headless: boolean;
  /** Server identities accepted beside that of the chosen workload. */
  readonly subjectAltNames: readonly string[];
  readonly loadBalancing: LoadBalancing;
  readonly publishNotReady: boolean;
  readonly visibility: 'public' | 'namespace';
  /** Wins among services that share an address: true for a Kubernetes Service. */
  readonly canonical: boolean;
}

export type { Locality };

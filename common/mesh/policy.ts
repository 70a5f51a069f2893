/**
 * Access policy on the fields that a connection has: identities, addresses, ports.
 *
 * Plain data, already compiled by controller/model: a rule that needs HTTP never gets here (it is
 * refused, or its L7 part is cut from a DENY, which widens it). Rules are OR-ed; the clauses of a
 * rule are AND-ed; the matches of a clause are OR-ed; the fields of a match are AND-ed, the values
 * of a field OR-ed, and a `not…` field must match none. Empty rules never match; a rule with no
 * clauses matches all; a clause with no matches passes; a match with no field set matches nothing.
 * (The model of Istio's `istio.security.Authorization`.)
 */

/** Exact, `prefix*`, `*suffix`, or `*` for presence. */
export type StringMatch = string;

export interface Match {
  readonly namespaces?: readonly StringMatch[];
  readonly notNamespaces?: readonly StringMatch[];
  /** `<namespace>/<service account>`, exact; the trust domain is not looked at. */
  readonly serviceAccounts?: readonly string[];
  readonly notServiceAccounts?: readonly string[];
  /** Identity without `spiffe://`. */
  readonly principals?: readonly StringMatch[];
  readonly notPrincipals?: readonly StringMatch[];
  readonly sourceIps?: readonly string[];
  readonly notSourceIps?: readonly string[];
  readonly destinationIps?: readonly string[];
  readonly notDestinationIps?: readonly string[];
  readonly destinationPorts?: readonly PortRange[];
  readonly notDestinationPorts?: readonly PortRange[];
}

/** Both ends included. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

export interface Clause {
  readonly matches: readonly Match[];
}

export interface Rule {
  /** For people: `rules[2]`, or the name that the author gave. */
  readonly name: string;
  readonly clauses: readonly Clause[];
}

/**
 * Where a policy comes from. Layers are judged in this order, and each must let the connection pass:
 * peer-authentication (deny only), network-policy (if any selects the workload, one must allow),
 * authorization (DENY first, then ALLOW if there is one).
 */
export type PolicyLayer = 'peer-authentication' | 'network-policy' | 'authorization';

export interface Policy {
  /** Primary key, `<layer>/<namespace>/<name>`. */
  readonly key: string;
  readonly layer: PolicyLayer;
  readonly name: string;
  readonly namespace: string;
  /** `selector` policies apply to the workloads that list their key, and to no other. */
  readonly scope: 'mesh' | 'namespace' | 'selector';
  readonly action: 'allow' | 'deny' | 'audit';
  /** Judged, counted and logged, never enforced. */
  readonly dryRun: boolean;
  readonly rules: readonly Rule[];
}

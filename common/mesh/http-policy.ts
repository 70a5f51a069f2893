/**
 * Access policy on the fields of a request: what a waypoint or gateway judges, beside what the agents
 * judge of each connection (policy.ts, whose rules of AND and OR hold here too).
 *
 * Plain data, compiled by controller/model from AuthorizationPolicies with targetRefs.
 */
import type { Match, StringMatch } from './policy.ts';

/** Fields of a match on a request; those of the connection beside them. */
export interface HttpMatch extends Match {
  /** Host name without a port, in any case. */
  readonly hosts?: readonly StringMatch[];
  readonly notHosts?: readonly StringMatch[];
  readonly methods?: readonly StringMatch[];
  readonly notMethods?: readonly StringMatch[];
  /** Also templates: `{*}` stands for one segment, `{**}` for any number, in the last place. */
  readonly paths?: readonly StringMatch[];
  readonly notPaths?: readonly StringMatch[];
  /** `<issuer>/<subject>` of the token. */
  readonly requestPrincipals?: readonly StringMatch[];
  readonly notRequestPrincipals?: readonly StringMatch[];
  /** Where the call came from in the first place, as gateways have told. */
  readonly remoteIps?: readonly string[];
  readonly notRemoteIps?: readonly string[];
  readonly headers?: readonly NamedValues[];
  readonly notHeaders?: readonly NamedValues[];
  readonly claims?: readonly ClaimValues[];
  readonly notClaims?: readonly ClaimValues[];
}

/** OR-ed values of one thing; several things of one field are AND-ed. */
export interface NamedValues {
  /** Of a header: lower case. */
  readonly name: string;
  readonly values: readonly StringMatch[];
}

export interface ClaimValues {
  /** Way into the token: `['realm', 'roles']`. A list matches when one of its items does. */
  readonly path: readonly string[];
  readonly values: readonly StringMatch[];
}

export interface HttpClause {
  readonly matches: readonly HttpMatch[];
}

export interface HttpRule {
  readonly name: string;
  readonly clauses: readonly HttpClause[];
}

export interface HttpPolicy {
  /** Primary key, `http-authorization/<namespace>/<name>`. */
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  /** What it is attached to: `Gateway/<namespace>/<name>`, `Service/<namespace>/<name>`. */
  readonly targets: readonly string[];
  /** `custom` asks `provider` when a rule matches, and needs its yes. */
  readonly action: 'allow' | 'deny' | 'audit' | 'custom';
  readonly provider: string;
  readonly dryRun: boolean;
  readonly rules: readonly HttpRule[];
}

/**
 * PeerAuthentication as DENY policies: STRICT means that a caller without an identity is denied.
 *
 * The policy bears the name of the resource, so a refusal names what its author wrote. DISABLE is
 * PERMISSIVE here: it says what the server accepts, and the tunnel is accepted always. A
 * PeerAuthentication that demands nothing makes no policy, unless it has port modes: those replace
 * what is inherited, so the workloads list it and it must be known.
 */
import type { Match, Policy, PortRange, Rule } from '#common/mesh/policy.ts';
import type { ModelOptions } from './diff.ts';
import type { MtlsMode, PeerAuthenticationObject } from './objects.ts';
import { hasPortModes, inheritedFrom, peerPolicyKey } from './policies-of.ts';
import type { Store } from './store.ts';

/** Matches exactly the callers that have shown no identity. */
const NO_IDENTITY: Match = { notPrincipals: ['*'] };

export function buildPeerAuthentication(
  policy: PeerAuthenticationObject,
  store: Store,
  options: ModelOptions,
): Policy | undefined {
  const ports = hasPortModes(policy);
  if (policy.mode !== 'STRICT' && !ports) return undefined;
  const mode =
    policy.mode === 'UNSET'
      ? inheritedFrom(policy.meta.namespace, store, options)?.mode
      : policy.mode;
  return {
    key: peerPolicyKey(policy),
    layer: 'peer-authentication',
    name: policy.meta.name,
    namespace: policy.meta.namespace,
    scope: 'selector',
    action: 'deny',
    dryRun: false,
    rules: rulesOf(mode ?? 'PERMISSIVE', ports ? policy.portModes : {}),
  };
}

function rulesOf(mode: MtlsMode, portModes: Readonly<Record<string, MtlsMode>>): Rule[] {
  const strict = portsWith(portModes, (m) => m === 'STRICT');
  const lax = portsWith(portModes, (m) => m === 'PERMISSIVE' || m === 'DISABLE');
  if (mode === 'STRICT') {
    return [deny('mtls', lax.length === 0 ? {} : { notDestinationPorts: lax })];
  }
  return strict.length === 0 ? [] : [deny('portLevelMtls', { destinationPorts: strict })];
}

function deny(name: string, ports: Match): Rule {
  return { name, clauses: [{ matches: [{ ...NO_IDENTITY, ...ports }] }] };
}

function portsWith(
  modes: Readonly<Record<string, MtlsMode>>,
  wanted: (mode: MtlsMode) => boolean,
): PortRange[] {
  return Object.entries(modes)
    .filter(([, mode]) => wanted(mode))
    .map(([port]) => ({ from: Number(port), to: Number(port) }))
    .toSorted((a, b) => a.from - b.from);
}

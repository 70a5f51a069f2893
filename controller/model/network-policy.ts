/**
 * NetworkPolicy ingress, enforced again behind the tunnel, where only port 15008 is seen outside.
 *
 * A peer chosen by pods stands for their addresses. A peer chosen by namespace alone stands for the
 * identities of those namespaces and for the addresses of the pods there that have none, so pods that
 * come and go inside the mesh change no policy. A rule whose peers or ports come to nothing admits
 * nobody: it is left out, since a clause without matches would admit everybody.
 */
import type { Clause, Match, Policy, PortRange, Rule } from '#common/mesh/policy.ts';
import { isLive } from './build-workload.ts';
import type { ModelOptions } from './diff.ts';
import { exemptionOf } from './enrolment.ts';
import type {
  IngressRule,
  LabelSelector,
  NetworkPeer,
  NetworkPolicyObject,
  PodObject,
} from './objects.ts';
import { keyOf } from './objects.ts';
import { isEmptySelector, selects } from './selector.ts';
import type { Store } from './store.ts';

export function buildNetworkPolicy(
  policy: NetworkPolicyObject,
  store: Store,
  options: ModelOptions,
): Policy | undefined {
  if (policy.ingress === undefined) return undefined;
  const { meta } = policy;
  const rules = policy.ingress.flatMap((rule, i): Rule[] => {
    const from = fromClause(rule, policy, store, options);
    const ports = portsClause(rule, policy, store);
    if (from === 'nobody' || ports === 'nobody') return [];
    return [{ name: `ingress[${i}]`, clauses: [...from, ...ports] }];
  });
  return {
    key: `network-policy/${keyOf(meta)}`,
    layer: 'network-policy',
    name: meta.name,
    namespace: meta.namespace,
    scope: isEmptySelector(policy.podSelector) ? 'namespace' : 'selector',
    action: 'allow',
    dryRun: false,
    rules,
  };
}

/** Says whether the policy, once built, holds the address of this pod as a peer. */
export function holdsAddressOf(
  pod: PodObject,
  policy: NetworkPolicyObject,
  store: Store,
  options: ModelOptions,
): boolean {
  const exemption = exemptionOf(pod, store.namespaces.get(pod.meta.namespace)?.meta, options);
  return (policy.ingress ?? []).some((rule) =>
    rule.from.some(
      (peer) =>
        peer.kind === 'pods' &&
        includes(peer, policy, pod, store) &&
        (exemption !== '' || !isWholeNamespace(peer)),
    ),
  );
}

export function usesPortNames(policy: NetworkPolicyObject): boolean {
  return (policy.ingress ?? []).some((rule) =>
    (rule.ports ?? []).some(({ port }) => typeof port === 'string'),
  );
}

type Clauses = readonly Clause[] | 'nobody';

function fromClause(
  rule: IngressRule,
  policy: NetworkPolicyObject,
  store: Store,
  options: ModelOptions,
): Clauses {
  if (rule.from.length === 0) return [];
  const matches = rule.from.flatMap((peer) => peerMatches(peer, policy, store, options));
  return matches.length === 0 ? 'nobody' : [{ matches }];
}

function peerMatches(
  peer: NetworkPeer,
  policy: NetworkPolicyObject,
  store: Store,
  options: ModelOptions,
): Match[] {
  if (peer.kind === 'block') {
    const { cidr, except } = peer;
    return [{ sourceIps: [cidr], ...(except.length > 0 ? { notSourceIps: except } : {}) }];
  }
  const matches: Match[] = [];
  const namespaces = namespacesOf(peer.namespaces, policy, store);
  const isWhole = isWholeNamespace(peer);
  if (isWhole && namespaces.length > 0) matches.push({ namespaces });
  const addresses: string[] = [];
  for (const namespace of namespaces) {
    const meta = store.namespaces.get(namespace)?.meta;
    for (const pod of podsIn(namespace, store)) {
      if (!includes(peer, policy, pod, store)) continue;
      if (isWhole && exemptionOf(pod, meta, options) === '') continue;
      addresses.push(...pod.addresses);
    }
  }
  if (addresses.length > 0) matches.push({ sourceIps: addresses.toSorted() });
  return matches;
}

type PodPeer = Extract<NetworkPeer, { kind: 'pods' }>;

function isWholeNamespace(peer: PodPeer): boolean {
  return peer.pods === undefined || isEmptySelector(peer.pods);
}

/** Host-network pods have no address of their own, so no peer means them. */
function includes(
  peer: PodPeer,
  policy: NetworkPolicyObject,
  pod: PodObject,
  store: Store,
): boolean {
  if (!isLive(pod) || pod.hostNetwork) return false;
  if (peer.pods !== undefined && !selects(peer.pods, pod.meta.labels)) return false;
  const { namespace } = pod.meta;
  if (peer.namespaces === undefined) return namespace === policy.meta.namespace;
  const labels = store.namespaces.get(namespace)?.meta.labels;
  return labels !== undefined && selects(peer.namespaces, namespaceLabels(namespace, labels));
}

function namespacesOf(
  selector: LabelSelector | undefined,
  policy: NetworkPolicyObject,
  store: Store,
): string[] {
  if (selector === undefined) return [policy.meta.namespace];
  return [...store.namespaces.values()]
    .filter(({ meta }) => selects(selector, namespaceLabels(meta.name, meta.labels)))
    .map(({ meta }) => meta.name)
    .toSorted();
}

/** An API server puts this label on every namespace; a directory need not write it. */
function namespaceLabels(
  name: string,
  labels: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return { 'kubernetes.io/metadata.name': name, ...labels };
}

function portsClause(rule: IngressRule, policy: NetworkPolicyObject, store: Store): Clauses {
  if (rule.ports === undefined) return [];
  const numbers: PortRange[] = [];
  const matches: Match[] = [];
  for (const { port, endPort } of rule.ports) {
    if (typeof port === 'number') numbers.push({ from: port, to: endPort });
    else matches.push(...namedPort(port, policy, store));
  }
  if (numbers.length > 0) matches.unshift({ destinationPorts: numbers });
  return matches.length === 0 ? 'nobody' : [{ matches }];
}

/**
 * A name may be another number in each selected pod, and none in some: then each number holds only
 * for the addresses of the pods that mean it.
 */
function namedPort(name: string, policy: NetworkPolicyObject, store: Store): Match[] {
  const addressesByPort = new Map<number, string[]>();
  for (const pod of podsIn(policy.meta.namespace, store)) {
    if (!isLive(pod) || !selects(policy.podSelector, pod.meta.labels)) continue;
    const port = pod.namedPorts[name];
    if (port === undefined) continue;
    const addresses = addressesByPort.get(port);
    if (addresses === undefined) addressesByPort.set(port, [...pod.addresses]);
    else addresses.push(...pod.addresses);
  }
  return [...addressesByPort]
    .toSorted(([a], [b]) => a - b)
    .map(([port, addresses]) => ({
      destinationPorts: [{ from: port, to: port }],
      destinationIps: addresses.toSorted(),
    }));
}

function* podsIn(namespace: string, store: Store): Generator<PodObject> {
  for (const id of store.subjectsIn.get(namespace)) {
    const pod = id.startsWith('Pod/') ? store.pods.get(id.slice('Pod/'.length)) : undefined;
    if (pod !== undefined) yield pod;
  }
}

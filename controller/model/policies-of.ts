/**
 * Which selector policies a workload lists, and which PeerAuthentication counts for it.
 *
 * PeerAuthentication: the oldest that selects the workload, else the oldest of its namespace, else
 * the oldest of the root namespace; UNSET asks the next. Everything else: all that select it.
 */
import type { ModelOptions } from './diff.ts';
import { isOlder } from './build-service.ts';
import type { Labels, PeerAuthenticationObject } from './objects.ts';
import { keyOf } from './objects.ts';
import { isEmptySelector } from './selector.ts';
import { hasLabels, type Store } from './store.ts';

interface Selected {
  readonly namespace: string;
  readonly labels: Labels;
}

/** Keys, sorted, of the `selector` policies that apply to a workload. */
export function policiesOf(subject: Selected, store: Store, options: ModelOptions): string[] {
  const { namespace, labels } = subject;
  const keys = store.authorizationSelectors
    .matching(namespace, labels)
    .map((key) => `authorization/${key}`);
  for (const key of store.networkSelectors.matching(namespace, labels)) {
    const policy = store.networkPolicies.get(key);
    if (policy?.ingress !== undefined && !isEmptySelector(policy.podSelector)) {
      keys.push(`network-policy/${key}`);
    }
  }
  const peer = peerPolicyOf(subject, store, options);
  if (peer !== undefined) keys.push(peer);
  return keys.toSorted();
}

/** The PeerAuthentication whose policy applies: the one that demands mutual TLS, or that has ports. */
function peerPolicyOf(subject: Selected, store: Store, options: ModelOptions): string | undefined {
  const own = selectedBy(subject, store);
  if (own !== undefined && hasPortModes(own)) return peerPolicyKey(own);
  const decides =
    own !== undefined && own.mode !== 'UNSET'
      ? own
      : inheritedFrom(subject.namespace, store, options);
  return decides?.mode === 'STRICT' ? peerPolicyKey(decides) : undefined;
}

export function peerPolicyKey(policy: PeerAuthenticationObject): string {
  return `peer-authentication/${keyOf(policy.meta)}`;
}

/** Port modes count only with a selector, as in Istio. */
export function hasPortModes(policy: PeerAuthenticationObject): boolean {
  return hasLabels(policy.selector) && Object.keys(policy.portModes).length > 0;
}

/** What sets the mode of a workload that has no PeerAuthentication of its own. */
export function inheritedFrom(
  namespace: string,
  store: Store,
  options: ModelOptions,
): PeerAuthenticationObject | undefined {
  for (const scope of [namespace, options.rootNamespace]) {
    const found = oldest(store, store.peerAuthenticationsIn.get(scope), isUnselective);
    if (found !== undefined && found.mode !== 'UNSET') return found;
  }
  return undefined;
}

function selectedBy(subject: Selected, store: Store): PeerAuthenticationObject | undefined {
  return oldest(store, store.peerSelectors.matching(subject.namespace, subject.labels), () => true);
}

function isUnselective(policy: PeerAuthenticationObject): boolean {
  return !hasLabels(policy.selector);
}

function oldest(
  store: Store,
  keys: Iterable<string>,
  counts: (policy: PeerAuthenticationObject) => boolean,
): PeerAuthenticationObject | undefined {
  let found: PeerAuthenticationObject | undefined;
  for (const key of keys) {
    const policy = store.peerAuthentications.get(key);
    if (policy === undefined || !counts(policy)) continue;
    if (found === undefined || isOlder(policy.meta, found.meta)) found = policy;
  }
  return found;
}

/**
 * Which token makes its bearer the agent of a node: that of the agents' service account, bound to a pod
 * and to the node on which that pod runs. Pure.
 *
 * The API server vouches for every claim read here. A token that is not bound to a pod is refused, since
 * it would outlive the pod and could be had by whoever may ask for tokens of that account.
 */
import type { Caller } from './tokens.ts';

/** What a TokenReview has said of a token. */
export interface Claims {
  readonly username: string;
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

const CLAIM = 'authentication.kubernetes.io';
const NODE_NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;

/** Returns the caller, or why the token makes nobody an agent. */
export function agentOf({ username, extra }: Claims, account: string): Caller | string {
  if (username !== account) return `it is of "${username}", not of "${account}"`;
  const only = (name: string): string => {
    const values = extra[`${CLAIM}/${name}`] ?? [];
    return values.length === 1 ? (values[0] ?? '') : '';
  };
  const [node, pod, podUid] = [only('node-name'), only('pod-name'), only('pod-uid')];
  if (pod === '' || podUid === '') return 'it is not bound to a pod';
  if (!NODE_NAME.test(node)) return 'it is not bound to a node';
  return { node, podUid };
}

/** `system:serviceaccount:plumbline-system:plumbline-node-agent`. */
export function accountOf(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`;
}

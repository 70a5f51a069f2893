/**
 * What a node may know: everything that its pods may meet, and nothing that is only for others.
 *
 * Each object has one audience, a string. Workloads and public services are for all, since any pod may
 * call them. A policy is for the nodes where it can be enforced, a private service for the nodes with
 * a pod in its namespace, and what an agent must know of a pod for the node of that pod alone. Which
 * policies select a workload is for its own node; the others get the workload without that list.
 */
import type { Policy } from '#common/mesh/policy.ts';
import type { Service } from '#common/mesh/service.ts';
import type { Workload } from '#common/mesh/workload.ts';
import { identityOf, type Identity } from '#common/identity.ts';
import type { PlacedPod } from '../model/diff.ts';

/** `''` for all, else a kind and a name: of a namespace, of a policy, of a node. */
export type Audience = string;

export const EVERYBODY: Audience = '';

export function namespaceAudience(namespace: string): Audience {
  return `namespace ${namespace}`;
}

export function selectedAudience(policyKey: string): Audience {
  return `policy ${policyKey}`;
}

export function nodeAudience(node: string): Audience {
  return `node ${node}`;
}

export function audienceOfPolicy({ scope, namespace, key }: Policy): Audience {
  if (scope === 'mesh') return EVERYBODY;
  return scope === 'namespace' ? namespaceAudience(namespace) : selectedAudience(key);
}

export function audienceOfService({ visibility, namespace }: Service): Audience {
  return visibility === 'public' ? EVERYBODY : namespaceAudience(namespace);
}

/** What a workload's presence gives its node to know. */
export function audiencesOfWorkload({ policies }: Workload): Audience[] {
  return policies.map(selectedAudience);
}

/**
 * What a pod's presence gives its node to know. A pod that is not enrolled counts too: while it is
 * being released its last connections must still meet their policies.
 */
export function audiencesOfPod({ pod, node }: PlacedPod): Audience[] {
  return [namespaceAudience(pod.namespace), nodeAudience(node)];
}

/** The identity that a pod lets its node ask for; undefined when it is not enrolled. */
export function identityOfPod({ pod }: PlacedPod, trustDomain: string): Identity | undefined {
  if (!pod.enrolled) return undefined;
  return identityOf(trustDomain, pod.namespace, pod.serviceAccount);
}

/** A workload as a node other than its own gets it. */
export function withoutPolicies(workload: Workload): Workload {
  return workload.policies.length === 0 ? workload : { ...workload, policies: [] };
}

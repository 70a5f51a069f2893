/**
 * Pod as an API server serves it: where it runs, who it is, whether it is there.
 *
 * A pod is never refused for what it has besides: the API server has checked it, and a pod that the
 * mesh did not know of would be spoken to in clear.
 */
import { canonicalAddress, parseAddress } from '#common/address.ts';
import type { PodObject, PodPhase } from '../../model/objects.ts';
import {
  convert,
  flag,
  list,
  openRecord,
  required,
  text,
  withDefault,
  type Infer,
} from '../schema.ts';
import { namedPorts } from './pod.ts';
import { CAPTURED } from '../../model/names.ts';
import { servedMeta, type ServedMeta } from './served-meta.ts';
import { port } from './shared.ts';

const container = openRecord({
  ports: withDefault(
    list(
      openRecord({
        name: withDefault(text(), ''),
        containerPort: required(port),
        protocol: withDefault(text(), 'TCP'),
      }),
    ),
    [],
  ),
  restartPolicy: withDefault(text(), ''),
});

const spec = openRecord({
  nodeName: withDefault(text(), ''),
  serviceAccountName: withDefault(text(), 'default'),
  hostNetwork: withDefault(flag, false),
  containers: withDefault(list(container), []),
  initContainers: withDefault(list(container), []),
});

const status = openRecord({
  phase: withDefault(text(), 'Pending'),
  podIP: withDefault(text(), ''),
  podIPs: withDefault(list(openRecord({ ip: withDefault(text(), '') })), []),
  conditions: withDefault(
    list(openRecord({ type: withDefault(text(), ''), status: withDefault(text(), '') })),
    [],
  ),
});

const NO_STATUS: Infer<typeof status> = { phase: 'Pending', podIP: '', podIPs: [], conditions: [] };
const PHASES: readonly PodPhase[] = ['Pending', 'Running', 'Succeeded', 'Failed'];

export const servedPod = convert(
  openRecord({
    metadata: required(servedMeta),
    spec: required(spec),
    status: withDefault(status, NO_STATUS),
  }),
  (raw): PodObject => ({
    kind: 'Pod',
    meta: raw.metadata.meta,
    podUid: raw.metadata.podUid,
    node: raw.spec.nodeName,
    serviceAccount: raw.spec.serviceAccountName,
    hostNetwork: raw.spec.hostNetwork,
    addresses: addressesOf(raw.status),
    // `Unknown`: its node is away, its processes may well go on.
    phase: PHASES.find((one) => one === raw.status.phase) ?? 'Running',
    ready: holds(raw.status, 'Ready'),
    ...(holds(raw.status, CAPTURED) ? { captured: true } : {}),
    terminating: raw.metadata.isTerminating,
    namedPorts: namedPorts([
      ...raw.spec.containers,
      // Sidecars in the Kubernetes sense: they run as long as the pod does.
      ...raw.spec.initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always'),
    ]),
    owner: ownerOf(raw.metadata),
  }),
);

function holds({ conditions }: Infer<typeof status>, type: string): boolean {
  return conditions.some((one) => one.type === type && one.status === 'True');
}

function addressesOf({ podIP, podIPs }: Infer<typeof status>): string[] {
  const all = podIPs.length > 0 ? podIPs.map(({ ip }) => ip) : [podIP];
  return all.filter((ip) => parseAddress(ip) !== undefined).map(canonicalAddress);
}

/**
 * The Deployment behind a ReplicaSet and the CronJob behind a Job, known by the names that their
 * controllers give: that saves watching both kinds.
 */
function ownerOf({ meta, owner }: ServedMeta): PodObject['owner'] {
  if (owner === undefined || owner.kind === 'Node') return undefined;
  const hash = meta.labels['pod-template-hash'];
  if (owner.kind === 'ReplicaSet' && hash !== undefined && owner.name.endsWith(`-${hash}`)) {
    return { kind: 'Deployment', name: owner.name.slice(0, -hash.length - 1) };
  }
  const scheduled = owner.kind === 'Job' ? /^(.+)-\d{8,11}$/.exec(owner.name) : null;
  return scheduled?.[1] === undefined ? owner : { kind: 'CronJob', name: scheduled[1] };
}

/**
 * NetworkPolicy, its ingress half.
 *
 * In a directory egress is refused: it would be written, look applied, and hold nothing.
 */
import type { IngressRule, NetworkPeer, NetworkPolicyObject } from '../../model/objects.ts';
import {
  either,
  list,
  oneOf,
  openRecord,
  optional,
  record,
  required,
  convert,
  withDefault,
  type Infer,
  type Path,
  type Report,
} from '../schema.ts';
import { servedMeta } from './served-meta.ts';
import { cidr, labelSelector, namespacedMeta, port, portName } from './shared.ts';

const peer = record({
  ipBlock: optional(record({ cidr: required(cidr), except: withDefault(list(cidr), []) })),
  podSelector: optional(labelSelector),
  namespaceSelector: optional(labelSelector),
});

const networkPort = record({
  protocol: withDefault(oneOf('TCP', 'UDP', 'SCTP'), 'TCP'),
  port: optional(either(port, portName)),
  endPort: optional(port),
});

const rule = record({
  from: withDefault(list(peer), []),
  ports: withDefault(list(networkPort), []),
});

const ingressRules = convert(list(rule), (raw, path, report): IngressRule[] | undefined => {
  const rules = raw.map((one, i) => convertRule(one, [...path, i], report));
  const good = rules.filter((one) => one !== undefined);
  return good.length < rules.length ? undefined : good;
});

export const networkPolicySchema = convert(
  record({
    metadata: required(namespacedMeta),
    spec: required(
      record({
        podSelector: required(labelSelector),
        policyTypes: withDefault(list(oneOf('Ingress')), ['Ingress']),
        ingress: withDefault(ingressRules, []),
      }),
    ),
  }),
  ({ metadata, spec: { podSelector, ingress } }): NetworkPolicyObject => {
    return { kind: 'NetworkPolicy', meta: metadata, podSelector, ingress };
  },
);

/**
 * As an API server serves it: there the egress half is the CNI's to enforce, and is passed over. What
 * the ingress half means has to be known whole, so its fields are read as strictly as elsewhere.
 */
export const servedNetworkPolicy = convert(
  openRecord({
    metadata: required(servedMeta),
    spec: required(
      record(
        {
          podSelector: withDefault(labelSelector, { matchLabels: {}, matchExpressions: [] }),
          policyTypes: withDefault(list(oneOf('Ingress', 'Egress')), ['Ingress']),
          ingress: withDefault(ingressRules, []),
        },
        ['egress'],
      ),
    ),
  }),
  ({ metadata, spec: { podSelector, policyTypes, ingress } }): NetworkPolicyObject => ({
    kind: 'NetworkPolicy',
    meta: metadata.meta,
    podSelector,
    ingress: policyTypes.includes('Ingress') ? ingress : undefined,
  }),
);

function convertRule(raw: Infer<typeof rule>, path: Path, report: Report): IngressRule | undefined {
  const from = raw.from.map((one, i) => convertPeer(one, [...path, 'from', i], report));
  const peers = from.filter((one) => one !== undefined);
  for (const [i, one] of raw.ports.entries()) {
    const isBackwards =
      one.endPort !== undefined && (typeof one.port !== 'number' || one.endPort < one.port);
    if (isBackwards) {
      report([...path, 'ports', i, 'endPort'], `${one.endPort}; expected a port number before it`);
      return undefined;
    }
  }
  if (peers.length < from.length) return undefined;
  const ports = raw.ports
    .filter(({ protocol }) => protocol === 'TCP')
    .map(({ port: first, endPort }) => ({
      port: first ?? 1,
      endPort: endPort ?? (typeof first === 'number' ? first : 65_535),
    }));
  return { from: peers, ports: raw.ports.length === 0 ? undefined : ports };
}

function convertPeer(raw: Infer<typeof peer>, path: Path, report: Report): NetworkPeer | undefined {
  const { ipBlock, podSelector: pods, namespaceSelector: namespaces } = raw;
  const isPods = pods !== undefined || namespaces !== undefined;
  if (isPods === (ipBlock !== undefined)) {
    report(path, 'expected either ipBlock, or podSelector and namespaceSelector');
    return undefined;
  }
  if (ipBlock !== undefined) return { kind: 'block', ...ipBlock };
  return { kind: 'pods', namespaces, pods };
}

/**
 * NetworkPolicy, its ingress half.
 *
 * Egress is refused: it would be written, look applied, and hold nothing.
 */
import type { IngressRule, NetworkPeer, NetworkPolicyObject } from '../../model/objects.ts';
import {
  either,
  list,
  oneOf,
  optional,
  record,
  required,
  convert,
  withDefault,
  type Infer,
  type Path,
  type Report,
} from '../schema.ts';
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

const spec = record({
  podSelector: required(labelSelector),
  policyTypes: withDefault(list(oneOf('Ingress')), ['Ingress']),
  ingress: withDefault(list(rule), []),
});

export const networkPolicySchema = convert(
  record({ metadata: required(namespacedMeta), spec: required(spec) }),
  (raw, path, report): NetworkPolicyObject | undefined => {
    const ingress = raw.spec.ingress.map((one, i) =>
      convertRule(one, [...path, 'spec', 'ingress', i], report),
    );
    const good = ingress.filter((one) => one !== undefined);
    if (good.length < ingress.length) return undefined;
    const { podSelector } = raw.spec;
    return { kind: 'NetworkPolicy', meta: raw.metadata, podSelector, ingress: good };
  },
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

/**
 * Service, with the fields that the mesh honours.
 *
 * Ports of UDP may stand there and are left out: the mesh carries TCP. Cluster addresses that are
 * not written are given by service-addresses.ts.
 */
import { familyOf } from '#common/address.ts';
import type { ServiceObject } from '../../model/objects.ts';
import {
  either,
  flag,
  integer,
  list,
  oneOf,
  optional,
  record,
  required,
  text,
  convert,
  withDefault,
  type Infer,
  type Path,
  type Report,
} from '../schema.ts';
import { address, labels, namespacedMeta, port, portName } from './shared.ts';

/** A Service as written: which families it wants, where no address is written. */
export interface DeclaredService extends ServiceObject {
  readonly families: readonly ('IPv4' | 'IPv6')[];
}

const DEFAULT_AFFINITY_SECONDS = 10_800;

const servicePort = record({
  name: withDefault(portName, ''),
  port: required(port),
  targetPort: optional(either(port, portName)),
  protocol: withDefault(oneOf('TCP', 'UDP'), 'TCP'),
  appProtocol: withDefault(text(), ''),
});

const spec = record({
  type: withDefault(oneOf('ClusterIP'), 'ClusterIP'),
  selector: optional(labels),
  ports: withDefault(list(servicePort, { max: 250 }), []),
  clusterIP: optional(either(oneOf('None'), address)),
  clusterIPs: withDefault(list(either(oneOf('None'), address), { max: 2 }), []),
  ipFamilies: optional(list(oneOf('IPv4', 'IPv6'), { min: 1, max: 2 })),
  ipFamilyPolicy: withDefault(
    oneOf('SingleStack', 'PreferDualStack', 'RequireDualStack'),
    'PreferDualStack',
  ),
  publishNotReadyAddresses: withDefault(flag, false),
  sessionAffinity: withDefault(oneOf('None', 'ClientIP'), 'None'),
  sessionAffinityConfig: optional(
    record({ clientIP: required(record({ timeoutSeconds: required(integer(1, 86_400)) })) }),
  ),
  internalTrafficPolicy: withDefault(oneOf('Cluster', 'Local'), 'Cluster'),
  trafficDistribution: withDefault(
    oneOf('', 'PreferClose', 'PreferSameZone', 'PreferSameNode'),
    '',
  ),
});

export const serviceSchema = convert(
  record({ metadata: required(namespacedMeta), spec: required(spec) }, ['status']),
  (raw, path, report): DeclaredService | undefined => {
    const at = [...path, 'spec'];
    if (!checkPorts(raw.spec.ports, [...at, 'ports'], report)) return undefined;
    const written = addressesOf(raw.spec, at, report);
    if (written === undefined) return undefined;
    const timeout = raw.spec.sessionAffinityConfig?.clientIP.timeoutSeconds;
    const both = raw.spec.ipFamilies ?? ['IPv4', 'IPv6'];
    return {
      kind: 'Service',
      meta: raw.metadata,
      clusterIps: written.addresses,
      headless: written.headless,
      families: raw.spec.ipFamilyPolicy === 'SingleStack' ? both.slice(0, 1) : both,
      selector: raw.spec.selector,
      ports: raw.spec.ports
        .filter(({ protocol }) => protocol === 'TCP')
        .map((one) => ({
          name: one.name,
          port: one.port,
          targetPort: one.targetPort ?? one.port,
          appProtocol: one.appProtocol,
        })),
      publishNotReadyAddresses: raw.spec.publishNotReadyAddresses,
      clientIpAffinitySeconds:
        raw.spec.sessionAffinity === 'ClientIP' ? (timeout ?? DEFAULT_AFFINITY_SECONDS) : 0,
      internalTrafficPolicy: raw.spec.internalTrafficPolicy,
      trafficDistribution: raw.spec.trafficDistribution,
    };
  },
);

function checkPorts(
  ports: readonly Infer<typeof servicePort>[],
  path: Path,
  report: Report,
): boolean {
  const names = new Set<string>();
  const numbers = new Set<string>();
  let isGood = true;
  for (const [i, one] of ports.entries()) {
    const number = `${one.port}/${one.protocol}`;
    const complaint = (field: string, message: string): void => {
      report([...path, i, field], message);
      isGood = false;
    };
    if (one.name === '' && ports.length > 1) {
      complaint('name', 'missing; expected a name for each of several ports');
    } else if (names.has(one.name)) complaint('name', `a second port named "${one.name}"`);
    if (numbers.has(number)) complaint('port', `a second port ${number}`);
    names.add(one.name);
    numbers.add(number);
  }
  return isGood;
}

function addressesOf(
  raw: Infer<typeof spec>,
  path: Path,
  report: Report,
): { addresses: string[]; headless: boolean } | undefined {
  const first = raw.clusterIP === undefined ? [] : [raw.clusterIP];
  const all = raw.clusterIPs.length > 0 ? raw.clusterIPs : first;
  if (first.length > 0 && all[0] !== first[0]) {
    report([...path, 'clusterIPs', 0], `"${all[0]}"; expected clusterIP, "${first[0]}"`);
    return undefined;
  }
  if (all.includes('None')) {
    if (all.length === 1) return { addresses: [], headless: true };
    report([...path, 'clusterIPs'], '"None" beside an address; expected one of the two');
    return undefined;
  }
  if (all.length === 2 && familyOf(all[0] ?? '') === familyOf(all[1] ?? '')) {
    report([...path, 'clusterIPs'], 'two addresses of one family; expected one of each');
    return undefined;
  }
  return { addresses: all, headless: false };
}

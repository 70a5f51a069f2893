/** ServiceEntry and WorkloadEntry, as in Istio: what the mesh knows beside its own pods. */
import { canonicalAddress, parseAddress } from '#common/address.ts';
import type {
  EntryEndpoint,
  ServiceEntryObject,
  WorkloadEntryObject,
} from '../../model/objects.ts';
import {
  dictionary,
  integer,
  list,
  oneOf,
  optional,
  record,
  required,
  text,
  convert,
  withDefault,
} from '../schema.ts';
import { cidr, hostname, labels, namespacedMeta, objectName, port, portName } from './shared.ts';

const addressOrHost = convert(
  text(
    'an address or a host name',
    (value) => parseAddress(value) !== undefined || /^[a-z0-9][a-z0-9.-]{0,252}$/.test(value),
  ),
  (value) => (parseAddress(value) === undefined ? value : canonicalAddress(value)),
);

const endpointFields = {
  address: required(addressOrHost),
  ports: withDefault(dictionary(portName, port), {}),
  labels: withDefault(labels, {}),
  serviceAccount: withDefault(objectName, 'default'),
  locality: withDefault(
    text('"region/zone/subzone"', (value) => value.split('/').length <= 3),
    '',
  ),
  weight: withDefault(integer(0, 65_535), 1),
};

const endpoint = convert(record(endpointFields), (raw): EntryEndpoint => raw);

export const workloadEntrySchema = convert(
  record({ metadata: required(namespacedMeta), spec: required(endpoint) }, ['status']),
  (raw): WorkloadEntryObject => ({
    kind: 'WorkloadEntry',
    meta: raw.metadata,
    endpoint: raw.spec,
  }),
);

const entryPort = convert(
  record({
    number: required(port),
    name: required(portName),
    protocol: withDefault(
      oneOf('TCP', 'TLS', 'HTTP', 'HTTPS', 'HTTP2', 'GRPC', 'GRPC-WEB', 'MONGO'),
      'TCP',
    ),
    targetPort: optional(port),
  }),
  (raw) => ({ ...raw, targetPort: raw.targetPort ?? raw.number }),
);

const spec = record({
  hosts: required(list(hostname, { min: 1, max: 64 })),
  addresses: withDefault(list(cidr, { max: 100 }), []),
  ports: required(list(entryPort, { min: 1, max: 250 })),
  location: withDefault(oneOf('MESH_EXTERNAL', 'MESH_INTERNAL'), 'MESH_EXTERNAL'),
  resolution: withDefault(oneOf('NONE', 'STATIC', 'DNS'), 'NONE'),
  endpoints: withDefault(list(endpoint, { max: 1000 }), []),
  workloadSelector: optional(record({ labels: required(labels) })),
  exportTo: withDefault(list(oneOf('*', '.'), { min: 1, max: 1 }), ['*']),
  subjectAltNames: withDefault(list(text()), []),
});

export const serviceEntrySchema = convert(
  record({ metadata: required(namespacedMeta), spec: required(spec) }, ['status']),
  (raw, path, report): ServiceEntryObject | undefined => {
    const at = [...path, 'spec'];
    const { endpoints, workloadSelector, resolution, hosts } = raw.spec;
    if (endpoints.length > 0 && workloadSelector !== undefined) {
      report([...at, 'workloadSelector'], 'beside endpoints; expected one of the two');
      return undefined;
    }
    if (resolution === 'NONE' && endpoints.length > 0) {
      report([...at, 'resolution'], '"NONE" with endpoints; expected one of STATIC, DNS');
      return undefined;
    }
    const named = endpoints.findIndex((one) => parseAddress(one.address) === undefined);
    if (resolution === 'STATIC' && named >= 0) {
      report(
        [...at, 'endpoints', named, 'address'],
        `"${endpoints[named]?.address}"; expected an address with resolution STATIC`,
      );
      return undefined;
    }
    const wild = hosts.findIndex((host) => host.startsWith('*'));
    if (resolution === 'DNS' && endpoints.length === 0 && wild >= 0) {
      report([...at, 'hosts', wild], `"${hosts[wild]}"; expected a whole name with resolution DNS`);
      return undefined;
    }
    return {
      kind: 'ServiceEntry',
      meta: raw.metadata,
      hosts,
      addresses: raw.spec.addresses.map((one) =>
        parseAddress(one) === undefined ? one : canonicalAddress(one),
      ),
      ports: raw.spec.ports,
      resolution,
      endpoints,
      workloadSelector: workloadSelector?.labels,
      exportTo: raw.spec.exportTo[0] === '.' ? 'namespace' : 'public',
      subjectAltNames: raw.spec.subjectAltNames,
    };
  },
);

/** EndpointSlice, written by hand for a Service without a selector. */
import { familyOf } from '#common/address.ts';
import type { EndpointSliceObject } from '../../model/objects.ts';
import {
  flag,
  list,
  oneOf,
  optional,
  record,
  required,
  text,
  convert,
  withDefault,
} from '../schema.ts';
import { address, dnsLabel, namespacedMeta, objectName, port, portName } from './shared.ts';

export const SERVICE_LABEL = 'kubernetes.io/service-name';

const endpoint = record({
  addresses: required(list(address, { min: 1, max: 100 })),
  conditions: withDefault(
    record({
      ready: withDefault(flag, true),
      serving: optional(flag),
      terminating: withDefault(flag, false),
    }),
    { ready: true, serving: undefined, terminating: false },
  ),
  nodeName: withDefault(objectName, ''),
  targetRef: optional(
    record({
      kind: required(oneOf('Pod')),
      name: required(objectName),
      namespace: optional(dnsLabel),
    }),
  ),
});

const slicePort = record({
  name: withDefault(portName, ''),
  port: required(port),
  protocol: withDefault(oneOf('TCP', 'UDP'), 'TCP'),
  appProtocol: withDefault(text(), ''),
});

export const endpointSliceSchema = convert(
  record({
    metadata: required(namespacedMeta),
    addressType: required(oneOf('IPv4', 'IPv6')),
    ports: withDefault(list(slicePort, { max: 250 }), []),
    endpoints: required(list(endpoint, { max: 1000 })),
  }),
  (raw, path, report): EndpointSliceObject | undefined => {
    const service = raw.metadata.labels[SERVICE_LABEL];
    if (service === undefined) {
      report([...path, 'metadata', 'labels'], `no "${SERVICE_LABEL}"; expected the Service's name`);
      return undefined;
    }
    const family = raw.addressType === 'IPv4' ? 4 : 6;
    for (const [i, one] of raw.endpoints.entries()) {
      const stray = one.addresses.findIndex((given) => familyOf(given) !== family);
      if (stray >= 0) {
        const at = [...path, 'endpoints', i, 'addresses', stray];
        report(at, `"${one.addresses[stray]}"; expected an ${raw.addressType} address`);
        return undefined;
      }
    }
    return {
      kind: 'EndpointSlice',
      meta: raw.metadata,
      service,
      ports: raw.ports
        .filter(({ protocol }) => protocol === 'TCP')
        .map(({ name, port: number }) => ({ name, port: number })),
      endpoints: raw.endpoints.map((one) => ({
        addresses: one.addresses,
        ready: one.conditions.ready,
        terminating: one.conditions.terminating,
        pod: one.targetRef?.name ?? '',
        node: one.nodeName,
      })),
    };
  },
);

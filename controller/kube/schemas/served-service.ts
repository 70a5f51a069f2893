/**
 * Service and EndpointSlice as an API server serves them.
 *
 * Of an endpoint that is a pod only the pod's name is kept: the pod says the rest of itself, so the
 * readiness of a pod is one change and not two. ExternalName Services and slices of names are not the
 * mesh's: they read as undefined, with nothing wrong.
 */
import { canonicalAddress, parseAddress } from '#common/address.ts';
import type { EndpointSliceObject, ServiceObject, SliceEndpoint } from '../../model/objects.ts';
import {
  convert,
  dictionary,
  either,
  flag,
  integer,
  list,
  oneOf,
  openRecord,
  optional,
  required,
  text,
  withDefault,
  type Infer,
} from '../schema.ts';
import { SERVICE_LABEL } from './endpoint-slice.ts';
import { servedMeta } from './served-meta.ts';
import { port } from './shared.ts';

const DEFAULT_AFFINITY_SECONDS = 10_800;
const strings = dictionary(text(), text());

const servicePort = openRecord({
  name: withDefault(text(), ''),
  port: required(port),
  targetPort: optional(either(port, text())),
  protocol: withDefault(text(), 'TCP'),
  appProtocol: withDefault(text(), ''),
});

const serviceSpec = openRecord({
  type: withDefault(text(), 'ClusterIP'),
  selector: optional(strings),
  ports: withDefault(list(servicePort), []),
  clusterIP: withDefault(text(), ''),
  clusterIPs: withDefault(list(text()), []),
  publishNotReadyAddresses: withDefault(flag, false),
  sessionAffinity: withDefault(text(), 'None'),
  sessionAffinityConfig: optional(
    openRecord({
      clientIP: optional(openRecord({ timeoutSeconds: optional(integer(0, 86_400)) })),
    }),
  ),
  internalTrafficPolicy: withDefault(oneOf('Cluster', 'Local'), 'Cluster'),
  trafficDistribution: withDefault(text(), ''),
});

/** Undefined inside: not for the mesh. */
export const servedService = convert(
  openRecord({ metadata: required(servedMeta), spec: required(serviceSpec) }),
  ({ metadata, spec }): { object: ServiceObject | undefined } => {
    if (spec.type === 'ExternalName') return { object: undefined };
    const written = spec.clusterIPs.length > 0 ? spec.clusterIPs : [spec.clusterIP];
    const timeout = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds;
    const object: ServiceObject = {
      kind: 'Service',
      meta: metadata.meta,
      clusterIps: written.filter(isAddress).map(canonicalAddress),
      headless: written.includes('None'),
      selector: spec.selector,
      ports: spec.ports
        .filter(({ protocol }) => protocol === 'TCP')
        .map((one) => ({
          name: one.name,
          port: one.port,
          targetPort: one.targetPort ?? one.port,
          appProtocol: one.appProtocol,
        })),
      publishNotReadyAddresses: spec.publishNotReadyAddresses,
      clientIpAffinitySeconds:
        spec.sessionAffinity === 'ClientIP' ? (timeout ?? DEFAULT_AFFINITY_SECONDS) : 0,
      internalTrafficPolicy: spec.internalTrafficPolicy,
      trafficDistribution: spec.trafficDistribution,
    };
    return { object };
  },
);

const endpoint = openRecord({
  addresses: withDefault(list(text()), []),
  conditions: withDefault(
    openRecord({ ready: withDefault(flag, true), terminating: withDefault(flag, false) }),
    { ready: true, terminating: false },
  ),
  nodeName: withDefault(text(), ''),
  targetRef: optional(
    openRecord({
      kind: withDefault(text(), ''),
      name: withDefault(text(), ''),
      namespace: withDefault(text(), ''),
    }),
  ),
});

const slicePort = openRecord({
  name: withDefault(text(), ''),
  /** Absent: every port, which says nothing that the mesh could use. */
  port: optional(port),
  protocol: withDefault(text(), 'TCP'),
});

/** Undefined inside: not for the mesh. */
export const servedSlice = convert(
  openRecord({
    metadata: required(servedMeta),
    addressType: required(text()),
    ports: withDefault(list(slicePort), []),
    endpoints: withDefault(list(endpoint), []),
  }),
  (raw): { object: EndpointSliceObject | undefined } => {
    const { meta } = raw.metadata;
    const service = meta.labels[SERVICE_LABEL];
    if (service === undefined || raw.addressType === 'FQDN') return { object: undefined };
    const object: EndpointSliceObject = {
      kind: 'EndpointSlice',
      meta,
      service,
      ports: raw.ports.flatMap(({ name, port: number, protocol }) =>
        number === undefined || protocol !== 'TCP' ? [] : [{ name, port: number }],
      ),
      endpoints: raw.endpoints.map((one) => endpointOf(one, meta.namespace)),
    };
    return { object };
  },
);

function endpointOf(raw: Infer<typeof endpoint>, namespace: string): SliceEndpoint {
  const { targetRef } = raw;
  if (targetRef?.kind === 'Pod' && ['', namespace].includes(targetRef.namespace)) {
    return { addresses: [], ready: true, terminating: false, pod: targetRef.name, node: '' };
  }
  return {
    addresses: raw.addresses.filter(isAddress).map(canonicalAddress),
    ready: raw.conditions.ready,
    terminating: raw.conditions.terminating,
    pod: '',
    node: raw.nodeName,
  };
}

function isAddress(value: string): boolean {
  return parseAddress(value) !== undefined;
}

/**
 * Strict decoders of the mesh's own types, as they travel from controller to agent.
 *
 * Bounds are far above what Kubernetes can hold in one object, so they never cut what is real; they
 * keep one message from costing more than its bytes.
 */
import { parseAddress, parseCidr, formatAddress } from '../address.ts';
import type { Clause, Match, Policy, PortRange, Rule } from '../mesh/policy.ts';
import type { LoadBalancing, Service, ServicePort } from '../mesh/service.ts';
import type {
  CaptureOptions,
  LocalPod,
  Locality,
  Membership,
  PortMapping,
  Workload,
} from '../mesh/workload.ts';
import {
  boolean,
  integer,
  list,
  object,
  oneOf,
  partial,
  text,
  suchThat,
  type Decoder,
} from './decode.ts';

/** Entries of a list inside one object. */
const MOST = 65_536;

const name = text(253);
const key = text(1024);
const port = integer(0, 65_535);
const realPort = integer(1, 65_535);

const address = suchThat(text(45), 'a canonical address', (value) => {
  const bytes = parseAddress(value);
  return bytes !== undefined && formatAddress(bytes) === value;
});
const addressOrCidr = suchThat(
  text(49),
  'an address or CIDR',
  (value) => parseCidr(value) !== undefined,
);

const locality = object<Locality>({ region: name, zone: name, subzone: name });

const membership = object<Membership>({
  service: key,
  ports: list(object<PortMapping>({ servicePort: port, targetPort: port }), MOST),
});

export const workload: Decoder<Workload> = object<Workload>({
  uid: key,
  name,
  namespace: name,
  serviceAccount: name,
  trustDomain: name,
  addresses: list(address, MOST),
  hostname: name,
  node: name,
  cluster: name,
  tunnel: oneOf('hbone', 'none'),
  hostNetwork: boolean,
  canonicalName: name,
  canonicalRevision: name,
  workloadName: name,
  workloadType: oneOf('deployment', 'cronjob', 'job', 'pod'),
  locality,
  weight: integer(0, 0xffff_ffff),
  health: oneOf('ready', 'not-ready', 'terminating'),
  memberships: list(membership, MOST),
  policies: list(key, MOST),
});

const scope = oneOf('region', 'zone', 'subzone', 'node', 'cluster');

export const service: Decoder<Service> = object<Service>({
  key,
  name,
  namespace: name,
  hostname: name,
  addresses: list(addressOrCidr, MOST),
  ports: list(object<ServicePort>({ name, port, targetPort: port, appProtocol: name }), MOST),
  headless: boolean,
  subjectAltNames: list(key, MOST),
  loadBalancing: object<LoadBalancing>({
    algorithm: oneOf('random', 'round-robin', 'least-connections'),
    mode: oneOf('any', 'strict', 'failover', 'passthrough'),
    scopes: list(scope, 5),
    clientIpAffinitySeconds: integer(0, 86_400),
  }),
  publishNotReady: boolean,
  visibility: oneOf('public', 'namespace'),
  canonical: boolean,
});

const texts = list(key, MOST);
const cidrs = list(addressOrCidr, MOST);
const ports = list(object<PortRange>({ from: port, to: port }), MOST);

/** What a match on connections may hold; one on requests holds it too. */
export const CONNECTION_FIELDS = {
  namespaces: texts,
  notNamespaces: texts,
  serviceAccounts: texts,
  notServiceAccounts: texts,
  principals: texts,
  notPrincipals: texts,
  sourceIps: cidrs,
  notSourceIps: cidrs,
  destinationIps: cidrs,
  notDestinationIps: cidrs,
  destinationPorts: ports,
  notDestinationPorts: ports,
};

const match = partial<Match>(CONNECTION_FIELDS);

export const policy: Decoder<Policy> = object<Policy>({
  key,
  layer: oneOf('peer-authentication', 'network-policy', 'authorization'),
  name,
  namespace: name,
  scope: oneOf('mesh', 'namespace', 'selector'),
  action: oneOf('allow', 'deny', 'audit'),
  dryRun: boolean,
  rules: list(
    object<Rule>({
      name: key,
      clauses: list(object<Clause>({ matches: list(match, MOST) }), MOST),
    }),
    MOST,
  ),
});

export const localPod: Decoder<LocalPod> = object<LocalPod>({
  uid: key,
  podUid: name,
  name,
  namespace: name,
  serviceAccount: name,
  addresses: list(address, 64),
  enrolled: boolean,
  exemption: text(256),
  options: object<CaptureOptions>({
    excludeInboundPorts: list(realPort, MOST),
    excludeOutboundPorts: list(realPort, MOST),
    excludeOutboundCidrs: list(addressOrCidr, MOST),
    dnsCapture: boolean,
    failClosed: boolean,
    cutExisting: boolean,
  }),
});

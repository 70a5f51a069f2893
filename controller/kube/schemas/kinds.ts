/**
 * The kinds that a directory may hold, each with its groups and its schema.
 *
 * Istio's shapes are read under our group and under theirs, as docs/directory.md lists them.
 */
import type {
  AuthorizationPolicyObject,
  EndpointSliceObject,
  Meta,
  NamespaceObject,
  NetworkPolicyObject,
  NodeObject,
  PeerAuthenticationObject,
  ServiceEntryObject,
  WorkloadEntryObject,
} from '../../model/objects.ts';
import type {
  GatewayObject,
  ReferenceGrantObject,
  RouteObject,
} from '../../model/route-objects.ts';
import { convert, record, required, withDefault, type Schema } from '../schema.ts';
import { authorizationPolicySchema, peerAuthenticationSchema } from './authorization-policy.ts';
import { deploymentSchema, type DeploymentObject } from './deployment.ts';
import { endpointSliceSchema } from './endpoint-slice.ts';
import { serviceEntrySchema, workloadEntrySchema } from './entries.ts';
import { gatewaySchema, referenceGrantSchema } from './gateway.ts';
import { GATEWAY_V1, GATEWAY_V1_OR_BETA } from './gateway-shared.ts';
import { networkPolicySchema } from './network-policy.ts';
import { podSchema, type PodSpec } from './pod.ts';
import { grpcRouteSchema, httpRouteSchema, tcpRouteSchema, tlsRouteSchema } from './routes.ts';
import { serviceSchema, type DeclaredService } from './service.ts';
import { clusterMeta, namespacedMeta } from './shared.ts';

export interface DeclaredPod {
  readonly kind: 'Pod';
  readonly meta: Meta;
  readonly spec: PodSpec;
}

export interface ServiceAccountObject {
  readonly kind: 'ServiceAccount';
  readonly meta: Meta;
}

/** An object as its author wrote it, decoded. */
export type Declared =
  | NamespaceObject
  | NodeObject
  | ServiceAccountObject
  | DeclaredPod
  | DeploymentObject
  | DeclaredService
  | EndpointSliceObject
  | NetworkPolicyObject
  | AuthorizationPolicyObject
  | PeerAuthenticationObject
  | ServiceEntryObject
  | WorkloadEntryObject
  | RouteObject
  | GatewayObject
  | ReferenceGrantObject;

export interface Kind {
  readonly apiVersions: readonly string[];
  readonly schema: Schema<Declared>;
}

const SECURITY = ['plumbline.dev/v1alpha1', 'security.istio.io/v1', 'security.istio.io/v1beta1'];
const NETWORKING = [
  'plumbline.dev/v1alpha1',
  'networking.istio.io/v1',
  'networking.istio.io/v1beta1',
];

const namespace = convert(
  record({ metadata: required(clusterMeta) }, ['spec', 'status']),
  ({ metadata }): NamespaceObject => ({ kind: 'Namespace', meta: metadata }),
);

const node = convert(
  record({ metadata: required(clusterMeta), spec: withDefault(record({}), {}) }, ['status']),
  ({ metadata }): NodeObject => ({ kind: 'Node', meta: metadata }),
);

const serviceAccount = convert(
  record({ metadata: required(namespacedMeta) }, ['automountServiceAccountToken']),
  ({ metadata }): ServiceAccountObject => ({ kind: 'ServiceAccount', meta: metadata }),
);

const pod = convert(podSchema, ({ metadata, spec }): DeclaredPod => ({
  kind: 'Pod',
  meta: metadata,
  spec,
}));

/** UDPRoute has no row: UDP is not carried, so it is refused like any kind that we do not know. */
export const KINDS: Readonly<Record<Exclude<Declared['kind'], 'UDPRoute'>, Kind>> = {
  Namespace: { apiVersions: ['v1'], schema: namespace },
  Node: { apiVersions: ['v1'], schema: node },
  ServiceAccount: { apiVersions: ['v1'], schema: serviceAccount },
  Pod: { apiVersions: ['v1'], schema: pod },
  Deployment: { apiVersions: ['apps/v1'], schema: deploymentSchema },
  Service: { apiVersions: ['v1'], schema: serviceSchema },
  EndpointSlice: { apiVersions: ['discovery.k8s.io/v1'], schema: endpointSliceSchema },
  NetworkPolicy: { apiVersions: ['networking.k8s.io/v1'], schema: networkPolicySchema },
  AuthorizationPolicy: { apiVersions: SECURITY, schema: authorizationPolicySchema },
  PeerAuthentication: { apiVersions: SECURITY, schema: peerAuthenticationSchema },
  ServiceEntry: { apiVersions: NETWORKING, schema: serviceEntrySchema },
  WorkloadEntry: { apiVersions: NETWORKING, schema: workloadEntrySchema },
  HTTPRoute: { apiVersions: GATEWAY_V1_OR_BETA, schema: httpRouteSchema },
  GRPCRoute: { apiVersions: GATEWAY_V1, schema: grpcRouteSchema },
  TLSRoute: { apiVersions: GATEWAY_V1, schema: tlsRouteSchema },
  TCPRoute: { apiVersions: GATEWAY_V1, schema: tcpRouteSchema },
  Gateway: { apiVersions: GATEWAY_V1_OR_BETA, schema: gatewaySchema },
  ReferenceGrant: { apiVersions: GATEWAY_V1_OR_BETA, schema: referenceGrantSchema },
};

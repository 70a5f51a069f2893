/**
 * Backends that routes name: the service behind each, or why there is none.
 *
 * A backend that may not be used is not dropped: its share of the requests is answered 500. From a
 * route on a Service any namespace may be named; from one on a Gateway a ReferenceGrant must allow it.
 */
import type { Backend } from '#common/mesh/route.ts';
import type { ServiceObject } from './objects.ts';
import { GATEWAY_GROUP } from './route-objects.ts';
import type { BackendRefSpec, RouteObject } from './route-objects.ts';
import type { Fault, Reason } from './route-status.ts';
import type { RouteWorld } from './route-world.ts';

/** The kind of parent for which a route is compiled: it decides whether grants are asked for. */
export type ParentKind = 'service' | 'gateway';

export interface Resolved {
  /** Key of the service; '' when there is none to be used. */
  readonly service: string;
  readonly name: string;
  readonly fault: Fault | undefined;
}

/** Protocols that a waypoint would have to begin TLS for, or that are no HTTP. */
const NOT_HTTP: ReadonlySet<string> = new Set(['https', 'tls', 'kubernetes.io/wss']);

export function resolveBackend(
  ref: BackendRefSpec,
  field: string,
  from: { readonly route: RouteObject; readonly parent: ParentKind; readonly world: RouteWorld },
): Resolved {
  const { route, parent, world } = from;
  const namespace = ref.namespace === '' ? route.meta.namespace : ref.namespace;
  const key = `${namespace}/${ref.name}`;
  const name = `${ref.kind} ${key}${ref.port === 0 ? '' : `:${ref.port}`}`;
  const broken = (reason: Reason, message: string): Resolved => ({
    service: '',
    name,
    fault: { field, reason, message },
  });
  if (ref.group !== '' || ref.kind !== 'Service') {
    const kind = ref.group === '' ? ref.kind : `${ref.kind}.${ref.group}`;
    return broken('InvalidKind', `a backend of kind ${kind}; expected Service`);
  }
  if (parent === 'gateway' && namespace !== route.meta.namespace && !isGranted(ref, from)) {
    return broken(
      'RefNotPermitted',
      `no ReferenceGrant in the namespace ${namespace} lets ${route.kind}s of ${route.meta.namespace} name ${name}`,
    );
  }
  const service = world.services.get(key);
  if (service === undefined) return broken('BackendNotFound', `there is no Service ${key}`);
  const port = service.ports.find((one) => one.port === ref.port);
  if (port === undefined) {
    const found = ref.port === 0 ? 'names no port of' : `there is no port ${ref.port} at`;
    return broken('BackendNotFound', `${found} Service ${key}; it has ${portsOf(service)}`);
  }
  const protocol = port.appProtocol.toLowerCase();
  const isHttp = route.kind === 'HTTPRoute' || route.kind === 'GRPCRoute';
  if (
    isHttp &&
    (NOT_HTTP.has(protocol) || (route.kind === 'GRPCRoute' && protocol.endsWith('/ws')))
  ) {
    return broken(
      'UnsupportedProtocol',
      `${name} says appProtocol "${port.appProtocol}", which a ${route.kind} cannot be sent to`,
    );
  }
  return { service: backendServiceKey(key, world), name, fault: undefined };
}

/** Turns what was resolved into a backend of a rule. */
export function backendOf(
  resolved: Resolved,
  spec: { readonly port: number; readonly weight: number },
  filters: Backend['filters'],
): Backend {
  return {
    service: resolved.service,
    port: spec.port,
    weight: spec.weight,
    filters,
    name: resolved.name,
  };
}

/** Key of a Service in the mesh, `<namespace>/<host name>`, from `namespace/name`. */
export function backendServiceKey(key: string, { domain }: RouteWorld): string {
  const [namespace = '', name = ''] = key.split('/');
  return `${namespace}/${name}.${namespace}.svc.${domain}`;
}

export function portsOf(service: ServiceObject): string {
  const ports = service.ports.map(({ port }) => `${port}`);
  return ports.length === 0 ? 'none' : ports.join(', ');
}

function isGranted(
  ref: BackendRefSpec,
  { route, world }: { readonly route: RouteObject; readonly world: RouteWorld },
): boolean {
  return world.grants.some(
    ({ meta, from, to }) =>
      meta.namespace === ref.namespace &&
      from.some(
        (one) =>
          one.group === GATEWAY_GROUP &&
          one.kind === route.kind &&
          one.namespace === route.meta.namespace,
      ) &&
      to.some(
        (one) =>
          one.group === ref.group &&
          one.kind === ref.kind &&
          (one.name === '' || one.name === ref.name),
      ),
  );
}

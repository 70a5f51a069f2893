/** Objects of the Gateway API for model tests, with what a test does not care about filled in. */
import type {
  BackendSpec,
  GatewayObject,
  ListenerSpec,
  MatchSpec,
  ParentRef,
  RouteKind,
  RouteObject,
  RuleSpec,
} from '../../controller/model/route-objects.ts';
import { GATEWAY_GROUP } from '../../controller/model/route-objects.ts';
import type { Meta, ServiceObject } from '../../controller/model/objects.ts';
import { keyOf } from '../../controller/model/objects.ts';
import { buildRoutes } from '../../controller/model/routes.ts';
import type { RouteModel, RouteWorld } from '../../controller/model/routes.ts';
import { MATCH_ALL, NO_TIMEOUTS } from '#common/mesh/route.ts';
import { meta } from './mesh-objects.ts';

export function toService(name: string, more: Partial<ParentRef> = {}): ParentRef {
  return { group: '', kind: 'Service', namespace: '', name, sectionName: '', port: 0, ...more };
}

export function toGateway(name: string, more: Partial<ParentRef> = {}): ParentRef {
  return { ...toService(name), group: GATEWAY_GROUP, kind: 'Gateway', ...more };
}

export function backendSpec(name: string, more: Partial<BackendSpec> = {}): BackendSpec {
  return {
    group: '',
    kind: 'Service',
    namespace: '',
    name,
    port: 80,
    weight: 1,
    filters: [],
    ...more,
  };
}

export function ruleSpec(more: Partial<RuleSpec> = {}): RuleSpec {
  return {
    name: '',
    matches: [],
    filters: [],
    backends: [backendSpec('cart')],
    timeouts: NO_TIMEOUTS,
    retry: undefined,
    persistence: undefined,
    ...more,
  };
}

export function matchSpec(more: Partial<MatchSpec> = {}): MatchSpec {
  return { ...MATCH_ALL, ...more };
}

export function routeObject(
  name: string,
  more: Partial<Omit<RouteObject, 'meta' | 'rules'>> & {
    readonly meta?: Partial<Meta>;
    readonly rules?: readonly Partial<RuleSpec>[];
  } = {},
): RouteObject {
  const kind: RouteKind = more.kind ?? 'HTTPRoute';
  return {
    kind,
    generation: 1,
    parents: [toService('cart')],
    hostnames: [],
    ...more,
    meta: meta(name, more.meta),
    rules: (more.rules ?? [{}]).map((fields) => ruleSpec(fields)),
  };
}

export function gatewayObject(
  name: string,
  listeners: readonly Partial<ListenerSpec>[],
  className = 'plumbline',
): GatewayObject {
  return {
    kind: 'Gateway',
    meta: meta(name),
    generation: 1,
    className,
    listeners: listeners.map((fields) => ({
      name: 'web',
      port: 80,
      protocol: 'HTTP',
      hostname: '',
      tlsMode: '',
      allowed: { from: 'Same', selector: undefined, kinds: undefined },
      ...fields,
    })),
  };
}

export function world(
  services: readonly ServiceObject[],
  more: Partial<Omit<RouteWorld, 'services' | 'gateways'>> & {
    readonly gateways?: readonly GatewayObject[];
  } = {},
): RouteWorld {
  return {
    routes: [],
    grants: [],
    namespaces: new Map(),
    domain: 'cluster.local',
    ...more,
    services: new Map(services.map((one) => [keyOf(one.meta), one])),
    gateways: new Map((more.gateways ?? []).map((one) => [keyOf(one.meta), one])),
  };
}

/** The conditions of one route, one line each: `Accepted True Accepted: …`. */
export function conditionsOf(model: RouteModel, key: string): string[] {
  return (model.statuses.get(key) ?? []).flatMap(({ conditions }) =>
    conditions.map(
      ({ type, status, reason, message }) =>
        `${type} ${status} ${reason}${message === '' ? '' : `: ${message}`}`,
    ),
  );
}

export { buildRoutes };

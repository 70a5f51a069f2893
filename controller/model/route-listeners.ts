/**
 * Which listeners of a Gateway take a route, and with which host names.
 */
import type { ListenerSpec, GatewayObject, ParentRef, RouteObject } from './route-objects.ts';
import { GATEWAY_GROUP } from './route-objects.ts';
import { ATTACHED, refused } from './route-status.ts';
import type { Attachment } from './route-status.ts';
import type { RouteWorld } from './route-world.ts';
import { selects } from './selector.ts';

/** Classes of Gateway whose routes are ours to judge. */
export const GATEWAY_CLASSES: readonly string[] = [
  'plumbline',
  'plumbline-waypoint',
  'istio-waypoint',
];

const KINDS_OF: Readonly<Record<string, readonly string[]>> = {
  HTTP: ['HTTPRoute', 'GRPCRoute'],
  HTTPS: ['HTTPRoute', 'GRPCRoute'],
  TLS: ['TLSRoute'],
  TCP: ['TCPRoute'],
};

export interface ListenerMatch {
  readonly listener: ListenerSpec;
  /** Of the route, cut down to those of the listener; empty for any. */
  readonly hostnames: readonly string[];
}

export function matchListeners(
  route: RouteObject,
  parent: ParentRef,
  gateway: GatewayObject,
  world: RouteWorld,
): { readonly attachment: Attachment; readonly listeners: readonly ListenerMatch[] } {
  const none = (attachment: Attachment) => ({ attachment, listeners: [] });
  const title = `Gateway ${gateway.meta.namespace}/${gateway.meta.name}`;
  const named = gateway.listeners.filter(
    ({ name, port }) =>
      (parent.sectionName === '' || name === parent.sectionName) &&
      (parent.port === 0 || port === parent.port),
  );
  if (named.length === 0) {
    const section = parent.sectionName === '' ? '' : ` named "${parent.sectionName}"`;
    const port = parent.port === 0 ? '' : ` at port ${parent.port}`;
    const has = gateway.listeners.map(({ name, port: at }) => `${name}:${at}`).join(', ');
    return none(
      refused('NoMatchingParent', `${title} has no listener${section}${port}; it has ${has}`),
    );
  }
  const allowed = named.filter((one) => allows(one, route, gateway, world));
  if (allowed.length === 0) {
    const whys = named.map((one) => `${one.name}: ${whyNot(one, route, gateway, world)}`);
    return none(refused('NotAllowedByListeners', `${title}: ${whys.join('; ')}`));
  }
  const listeners = allowed.flatMap((listener): ListenerMatch[] => {
    const hostnames = intersect(route.hostnames, listener.hostname);
    return hostnames === undefined ? [] : [{ listener, hostnames }];
  });
  if (listeners.length === 0) {
    const hosts = allowed.map(({ name, hostname }) => `${name} has "${hostname}"`).join(', ');
    return none(
      refused(
        'NoMatchingListenerHostname',
        `none of ${route.hostnames.join(', ')} is a host of ${title}: ${hosts}`,
      ),
    );
  }
  return { attachment: ATTACHED, listeners };
}

function allows(
  listener: ListenerSpec,
  route: RouteObject,
  gateway: GatewayObject,
  world: RouteWorld,
): boolean {
  return whyNot(listener, route, gateway, world) === '';
}

function whyNot(
  { protocol, allowed }: ListenerSpec,
  route: RouteObject,
  gateway: GatewayObject,
  world: RouteWorld,
): string {
  const { kind, meta } = route;
  if (KINDS_OF[protocol]?.includes(kind) !== true) return `protocol ${protocol} takes no ${kind}`;
  const { kinds } = allowed;
  const isKind = kinds?.some((one) => one.group === GATEWAY_GROUP && one.kind === kind) ?? true;
  if (!isKind) return `allowedRoutes.kinds has no ${kind}`;
  switch (allowed.from) {
    case 'All':
      return '';
    case 'None':
      return 'allowedRoutes takes routes of no namespace';
    case 'Same':
      return meta.namespace === gateway.meta.namespace
        ? ''
        : `allowedRoutes takes routes of the namespace ${gateway.meta.namespace} alone`;
    case 'Selector':
      break;
  }
  const labels = world.namespaces.get(meta.namespace) ?? {};
  return allowed.selector !== undefined && selects(allowed.selector, labels)
    ? ''
    : `allowedRoutes.namespaces.selector does not select ${meta.namespace}`;
}

/** Host names that both sides have; undefined when there are none, empty when both take any. */
export function intersect(
  hostnames: readonly string[],
  listener: string,
): readonly string[] | undefined {
  const own = listener.toLowerCase();
  if (hostnames.length === 0) return own === '' ? [] : [own];
  if (own === '') return hostnames.map((name) => name.toLowerCase());
  const common = hostnames.flatMap((given) => {
    const name = given.toLowerCase();
    if (covers(own, name)) return [name];
    return covers(name, own) ? [own] : [];
  });
  return common.length === 0 ? undefined : common;
}

/** `*.example` covers `a.example` and `*.a.example`. */
function covers(wide: string, narrow: string): boolean {
  if (wide === narrow) return true;
  if (!wide.startsWith('*')) return false;
  const end = wide.slice(1);
  const bare = narrow.startsWith('*') ? narrow.slice(1) : narrow;
  return bare.length > end.length && bare.endsWith(end);
}

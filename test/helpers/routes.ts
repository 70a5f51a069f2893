/** Routes and requests with everything left out that a test does not speak of. */
import type { Backend, Frontend, Route, RouteMatch, RouteRule } from '#common/mesh/route.ts';
import { MATCH_ALL, NO_TIMEOUTS } from '#common/mesh/route.ts';
import type { RequestView } from '../../waypoint/routing/request.ts';

export function frontend(routes: readonly Route[], fields: Partial<Frontend> = {}): Frontend {
  return {
    key: 'shop/cart.shop.svc.cluster.local:80',
    kind: 'service',
    owner: 'shop/cart.shop.svc.cluster.local',
    port: 80,
    producer: { protocol: 'http', routes },
    consumers: [],
    ...fields,
  };
}

export function route(
  name: string,
  rules: readonly Partial<RouteRule>[],
  hostnames: readonly string[] = [],
): Route {
  return {
    key: `HTTPRoute/shop/${name}`,
    hostnames,
    rules: rules.map((fields, i) => rule(`rules[${i}]`, fields)),
  };
}

export function rule(name: string, fields: Partial<RouteRule> = {}): RouteRule {
  return {
    name,
    matches: [MATCH_ALL],
    filters: [],
    backends: [],
    timeouts: NO_TIMEOUTS,
    retry: undefined,
    persistence: undefined,
    ...fields,
  };
}

export function match(fields: Partial<RouteMatch>): RouteMatch {
  return { ...MATCH_ALL, ...fields };
}

export function exact(value: string): Partial<RouteMatch> {
  return { path: { kind: 'exact', value } };
}

export function prefix(value: string): Partial<RouteMatch> {
  return { path: { kind: 'prefix', value } };
}

export function pattern(value: string): Partial<RouteMatch> {
  return { path: { kind: 'pattern', value } };
}

export function backend(name: string, weight = 1, fields: Partial<Backend> = {}): Backend {
  return { service: `shop/${name}`, port: 80, weight, filters: [], name, ...fields };
}

export function request(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  fields: { readonly method?: string; readonly host?: string } = {},
): RequestView {
  const mark = url.indexOf('?');
  return {
    method: fields.method ?? 'GET',
    host: fields.host ?? 'cart',
    path: mark === -1 ? url : url.slice(0, mark),
    query: mark === -1 ? '' : url.slice(mark + 1),
    header: (name) => headers[name],
  };
}

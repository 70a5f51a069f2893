/**
 * Redirects and rewrites: paths, hosts and ports changed as the Gateway API says.
 */
import type { PathChange, RedirectFilter, RouteMatch } from '#common/mesh/route.ts';
import type { RequestView } from './request.ts';

/** Where a request arrived, as far as a `location` can show it. */
export interface Arrival {
  readonly scheme: 'http' | 'https';
  /** The port of the service or listener. */
  readonly port: number;
}

/** Returns the path with `change` applied; `match` is the one that took the request. */
export function changePath(
  path: string,
  change: PathChange | undefined,
  match: RouteMatch,
): string {
  if (change === undefined) return path;
  if (change.kind === 'full')
    return change.value.startsWith('/') ? change.value : `/${change.value}`;
  // The model allows a change of the prefix only beside a match by prefix.
  const prefix = withoutSlash(match.path.kind === 'prefix' ? match.path.value : '');
  const rest = path.slice(prefix.length);
  const start = withoutSlash(change.value);
  const joined = `${start}${rest === '' || rest.startsWith('/') ? rest : `/${rest}`}`;
  return joined.startsWith('/') ? joined : `/${joined}`;
}

/** Returns the `location` of a redirect. */
export function redirectLocation(
  filter: RedirectFilter,
  request: RequestView,
  match: RouteMatch,
  arrival: Arrival,
): string {
  const scheme = filter.scheme === '' ? arrival.scheme : filter.scheme;
  const ownPort = filter.scheme === '' ? arrival.port : wellKnownPort(filter.scheme);
  const port = filter.port === 0 ? ownPort : filter.port;
  const host = filter.hostname === '' ? request.host : filter.hostname;
  const path = changePath(request.path, filter.path, match);
  const query = request.query === '' ? '' : `?${request.query}`;
  const shown = port === wellKnownPort(scheme) ? '' : `:${port}`;
  return `${scheme}://${bracketed(host)}${shown}${path}${query}`;
}

function wellKnownPort(scheme: 'http' | 'https'): number {
  return scheme === 'http' ? 80 : 443;
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

function withoutSlash(text: string): string {
  return text.endsWith('/') ? text.slice(0, -1) : text;
}

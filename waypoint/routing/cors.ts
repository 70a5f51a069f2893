/**
 * Cross-origin requests: the answer to a preflight, and the headers of any other response.
 *
 * An origin that is not allowed gets a response without these headers, and the browser refuses for
 * us. With credentials nothing is answered by `*`: the origin, method and headers asked for are named.
 */
import type { CorsFilter } from '#common/mesh/route.ts';
import type { RequestView } from './request.ts';

export interface Origin {
  readonly scheme: string;
  readonly host: string;
  readonly port: string;
}

export type ResponseHeader = readonly [name: string, value: string];

const VARY: ResponseHeader = ['vary', 'Origin'];

/** Says whether a request only asks what it might do. */
export function isPreflight(request: RequestView): boolean {
  return (
    request.method === 'OPTIONS' &&
    request.header('origin') !== undefined &&
    request.header('access-control-request-method') !== undefined
  );
}

/** Returns the headers of the answer to a preflight. */
export function preflightHeaders(filter: CorsFilter, request: RequestView): ResponseHeader[] {
  const origin = request.header('origin');
  if (origin === undefined || !allowsOrigin(filter, origin)) return [VARY];
  const methods = listOf(
    filter,
    filter.allowMethods,
    request.header('access-control-request-method'),
  );
  const headers = listOf(
    filter,
    filter.allowHeaders,
    request.header('access-control-request-headers'),
  );
  return [
    ...originHeaders(filter, origin),
    ...named('access-control-allow-methods', methods),
    ...named('access-control-allow-headers', headers),
    ['access-control-max-age', `${filter.maxAgeSeconds}`],
  ];
}

/** Returns the headers to be set on the response to an actual request of `origin`. */
export function corsHeaders(filter: CorsFilter, origin: string | undefined): ResponseHeader[] {
  if (origin === undefined || !allowsOrigin(filter, origin)) return [VARY];
  // `*` would be a header of that name here, so with credentials it is left out.
  const exposed = filter.allowCredentials
    ? filter.exposeHeaders.filter((name) => name !== '*')
    : filter.exposeHeaders;
  return [
    ...originHeaders(filter, origin),
    ...named('access-control-expose-headers', exposed.join(', ')),
  ];
}

function originHeaders(filter: CorsFilter, origin: string): ResponseHeader[] {
  const isAny = filter.allowOrigins.includes('*') && !filter.allowCredentials;
  const headers: ResponseHeader[] = [['access-control-allow-origin', isAny ? '*' : origin]];
  if (filter.allowCredentials) headers.push(['access-control-allow-credentials', 'true']);
  if (!isAny) headers.push(VARY);
  return headers;
}

function listOf(
  { allowCredentials }: CorsFilter,
  allowed: readonly string[],
  asked: string | undefined,
): string {
  if (!allowed.includes('*')) return allowed.join(', ');
  return allowCredentials ? (asked ?? '') : '*';
}

function named(name: string, value: string): ResponseHeader[] {
  return value === '' ? [] : [[name, value]];
}

function allowsOrigin(filter: CorsFilter, text: string): boolean {
  if (filter.allowOrigins.includes('*')) return true;
  const origin = parseOrigin(text);
  return (
    origin !== undefined &&
    filter.allowOrigins.some((allowed) => {
      const wanted = parseOrigin(allowed);
      return wanted !== undefined && covers(wanted, origin);
    })
  );
}

/** `*` stands for any labels to its left: `*.example` covers `a.b.example`. */
function covers(wanted: Origin, origin: Origin): boolean {
  if (wanted.scheme !== origin.scheme || wanted.port !== origin.port) return false;
  if (!wanted.host.startsWith('*')) return wanted.host === origin.host;
  const end = wanted.host.slice(1);
  return origin.host.length > end.length && origin.host.endsWith(end);
}

/** Takes `https://host:port` apart, with the port of the scheme when it names none. */
export function parseOrigin(text: string): Origin | undefined {
  const parts = /^(https?):\/\/(\*?[a-z0-9._-]*|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/.exec(
    text.toLowerCase(),
  );
  const [, scheme = '', host = '', port] = parts ?? [];
  if (parts === null || host === '') return undefined;
  return { scheme, host, port: port ?? (scheme === 'https' ? '443' : '80') };
}

/**
 * Whether a header list is a well-formed HTTP request, response or trailer section (RFC 9113
 * section 8), for sessions that carry ordinary requests.
 *
 * What passes can be written as HTTP/1.1 without a look at it: names are tokens, values have no
 * control characters, there is one authority and at most one length. A malformed message costs its
 * stream; nothing of it is forwarded.
 */
import type { Header } from './static-table.ts';

export interface HttpMessage {
  /** '' in responses and trailers. */
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  /** 0 in requests and trailers. */
  readonly status: number;
  /** What content-length says, or -1. */
  readonly length: number;
  /** The whole list; fields begin at `first`, pseudo headers stand before it. */
  readonly headers: readonly Header[];
  readonly first: number;
}

export type MessageKind = 'request' | 'response' | 'trailers';

const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/;
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const BAD_VALUE = /[\0-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]$/;
const PATH = /^\/[\x21\x22\x24-\x7e]*$/;
const AUTHORITY = /^[0-9A-Za-z\-._~!$&'()*+;=%:[\]]+$/;
/** A host name has at most 253 characters; brackets, colon and port come on top. */
const LONGEST_AUTHORITY = 262;
const STATUS = /^[1-5]\d\d$/;
const LENGTH = /^\d{1,15}$/;

/** By name: what a field with it may not be. Section 8.2.2 forbids the first five anywhere. */
const FORBIDDEN: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);
const NO_TRAILER: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'te',
  'trailer',
  'expect',
]);

class Reading {
  method: string | undefined;
  scheme: string | undefined;
  authority: string | undefined;
  path: string | undefined;
  status: string | undefined;
  host: string | undefined;
  length = -1;
}

/** Returns the message, or what is wrong with it. */
export function readHttpMessage(
  headers: readonly Header[],
  kind: MessageKind,
): HttpMessage | string {
  const found = new Reading();
  let first = 0;
  for (; first < headers.length; first += 1) {
    const header = headers[first];
    if (header?.name.startsWith(':') !== true) break;
    const fault = pseudoFault(found, header, kind);
    if (fault !== undefined) return fault;
  }
  for (let i = first; i < headers.length; i += 1) {
    const header = headers[i];
    if (header === undefined) break;
    const fault = fieldFault(found, header, kind);
    if (fault !== undefined) return fault;
  }
  const fault =
    kind === 'request'
      ? requestFault(found)
      : kind === 'response'
        ? responseFault(found)
        : undefined;
  if (fault !== undefined) return fault;
  return {
    method: found.method ?? '',
    scheme: found.scheme ?? '',
    authority: found.authority ?? found.host ?? '',
    path: found.path ?? '',
    status: Number(found.status ?? 0),
    length: found.length,
    headers,
    first,
  };
}

function pseudoFault(
  found: Reading,
  { name, value }: Header,
  kind: MessageKind,
): string | undefined {
  if (kind === 'trailers') return 'pseudo header in trailers';
  if (kind === 'response') {
    if (name !== ':status') return 'unknown pseudo header';
    if (found.status !== undefined) return 'pseudo header twice';
    found.status = value;
    return undefined;
  }
  switch (name) {
    case ':method':
      if (found.method !== undefined) return 'pseudo header twice';
      found.method = value;
      return undefined;
    case ':scheme':
      if (found.scheme !== undefined) return 'pseudo header twice';
      found.scheme = value;
      return undefined;
    case ':authority':
      if (found.authority !== undefined) return 'pseudo header twice';
      found.authority = value;
      return undefined;
    case ':path':
      if (found.path !== undefined) return 'pseudo header twice';
      found.path = value;
      return undefined;
    case ':protocol':
      return ':protocol, which we did not offer';
    default:
      return 'unknown pseudo header';
  }
}

function fieldFault(found: Reading, header: Header, kind: MessageKind): string | undefined {
  const { name, value } = header;
  if (header.isGood !== true) {
    if (name.startsWith(':')) return 'pseudo header after a header';
    if (!NAME.test(name)) return 'bad character in a header name';
    if (BAD_VALUE.test(value)) return 'bad character in a header value';
    if (FORBIDDEN.has(name)) return 'header that HTTP/2 forbids';
    if (name === 'te' && value !== 'trailers') return 'te other than trailers';
    header.isGood = true;
  }
  if (kind === 'trailers')
    return NO_TRAILER.has(name) ? 'field that may not be a trailer' : undefined;
  if (name === 'content-length') {
    if (found.length >= 0) return 'more than one content-length';
    if (!LENGTH.test(value)) return 'malformed content-length';
    found.length = Number(value);
  } else if (name === 'host') {
    if (found.host !== undefined) return 'more than one host';
    found.host = value;
  }
  return undefined;
}

/** Sections 8.3.1 and 8.5; CONNECT is well-formed and for others to refuse. */
function requestFault({ method, scheme, authority, path, host }: Reading): string | undefined {
  if (method === undefined || !METHOD.test(method)) return 'no :method that is a token';
  const named = authority ?? host;
  if (named === undefined || named.length > LONGEST_AUTHORITY || !AUTHORITY.test(named))
    return 'no :authority that names a host';
  if (host !== undefined && host.toLowerCase() !== named.toLowerCase()) {
    return 'host other than :authority';
  }
  if (method === 'CONNECT') {
    return scheme === undefined && path === undefined ? undefined : 'CONNECT with :scheme or :path';
  }
  if (scheme !== 'http' && scheme !== 'https') return 'no :scheme of http or https';
  if (path === '*' && method === 'OPTIONS') return undefined;
  return path !== undefined && PATH.test(path) ? undefined : 'no :path that begins with a slash';
}

function responseFault({ status }: Reading): string | undefined {
  if (status === undefined || !STATUS.test(status)) return 'no :status of three digits';
  return status === '101' ? 'status 101, which HTTP/2 has not' : undefined;
}

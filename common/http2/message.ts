/**
 * Whether a header list is a well-formed HTTP/2 message (RFC 9113 section 8).
 *
 * A malformed message is answered with a reset of its stream, never with a status: it says nothing
 * that we could be sure to understand as others do. Names in the result occur as they came; the maps
 * have no prototype, so a header called `__proto__` is a header.
 */
import type { Header } from './static-table.ts';

export interface Message {
  /** Pseudo headers, without their colon. */
  readonly pseudo: ReadonlyMap<string, string>;
  readonly fields: readonly Header[];
}

const REQUEST = new Set(['method', 'scheme', 'authority', 'path', 'protocol']);
const RESPONSE = new Set(['status']);
/** Section 8.2.2: they speak of a connection, which HTTP/2 does by itself. */
const FORBIDDEN = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);
/** Names that need no look: those of HBONE. */
const OURS = new Set([
  'baggage',
  'forwarded',
  'traceparent',
  'x-forwarded-network',
  'plumbline-source',
  'plumbline-reason',
]);
/** Lower-case tokens (RFC 9110 section 5.6.2). */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// oxlint-disable-next-line no-control-regex -- these are the characters that section 8.2.1 forbids
const BAD_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;

/** Returns the message, or what is wrong with it. */
export function readMessage(
  headers: readonly Header[],
  kind: 'request' | 'response',
): Message | string {
  const known = kind === 'request' ? REQUEST : RESPONSE;
  const pseudo = new Map<string, string>();
  const fields: Header[] = [];
  for (const header of headers) {
    const { name, value } = header;
    if (BAD_VALUE.test(value)) return 'bad character in a header value';
    if (name.startsWith(':')) {
      const bare = name.slice(1);
      if (fields.length > 0) return 'pseudo header after a header';
      if (!known.has(bare)) return 'unknown pseudo header';
      if (pseudo.has(bare)) return 'pseudo header twice';
      pseudo.set(bare, value);
      continue;
    }
    if (OURS.has(name)) {
      fields.push(header);
      continue;
    }
    if (!NAME.test(name)) return 'bad character in a header name';
    if (FORBIDDEN.has(name)) return 'header that HTTP/2 forbids';
    if (name === 'te' && value !== 'trailers') return 'te other than trailers';
    fields.push(header);
  }
  return (kind === 'request' ? requestFault(pseudo) : responseFault(pseudo)) ?? { pseudo, fields };
}

/** Sections 8.3.1 and 8.5: CONNECT has an authority and no more, everything else a path. */
function requestFault(pseudo: ReadonlyMap<string, string>): string | undefined {
  const method = pseudo.get('method');
  if (method === undefined || method === '') return 'no :method';
  if (pseudo.has('protocol')) return ':protocol, which we did not offer';
  if (method === 'CONNECT') {
    if (pseudo.has('scheme') || pseudo.has('path')) return 'CONNECT with :scheme or :path';
    return pseudo.has('authority') ? undefined : 'CONNECT without :authority';
  }
  if (!pseudo.has('scheme')) return 'no :scheme';
  return (pseudo.get('path') ?? '') === '' ? 'no :path' : undefined;
}

function responseFault(pseudo: ReadonlyMap<string, string>): string | undefined {
  return /^[1-5]\d\d$/.test(pseudo.get('status') ?? '') ? undefined : 'no :status of three digits';
}

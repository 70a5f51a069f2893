/** The static table of HPACK (RFC 7541 appendix A), from index 1 on. */
export interface Header {
  readonly name: string;
  readonly value: string;
  /** Its octets were judged before: entries of the tables come again and again. */
  isGood?: boolean;
}

const ENTRIES = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`;

/** Entry `i` of the table stands at `i - 1`. */
export const STATIC_TABLE: readonly Header[] = ENTRIES.trim()
  .split('\n')
  .map((line) => {
    const space = line.indexOf(' ');
    if (space < 0) return { name: line, value: '', isGood: false };
    return { name: line.slice(0, space), value: line.slice(space + 1), isGood: false };
  });

/** Indexes that our encoder uses. */
export const STATIC_NAME = { authority: 1, method: 2, path: 4, status: 8 } as const;

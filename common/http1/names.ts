/**
 * Field names that mean something to a proxy, as small numbers.
 *
 * A name is recognised while it is read: its hash leads to the one name that it can be, which is then
 * compared octet by octet. All others have the number 0 and stay bytes.
 */
import { TOKEN } from './characters.ts';

export const NAME = {
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  keepAlive: 5,
  proxyConnection: 6,
  te: 7,
  trailer: 8,
  upgrade: 9,
  expect: 10,
  http2Settings: 11,
  forwarded: 12,
  clientCert: 13,
  contentType: 14,
  date: 15,
  server: 16,
  proxyAuthenticate: 17,
} as const;

/** In the order of their numbers. */
export const NAMES: readonly string[] = [
  '',
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'http2-settings',
  'forwarded',
  'x-forwarded-client-cert',
  'content-type',
  'date',
  'server',
  'proxy-authenticate',
];

/** Those that speak of one connection and are never sent on (RFC 9110 section 7.6.1). */
const HOP = new Set<number>([
  NAME.connection,
  NAME.keepAlive,
  NAME.proxyConnection,
  NAME.te,
  NAME.transferEncoding,
  NAME.upgrade,
  NAME.http2Settings,
]);
export const IS_HOP = Uint8Array.from(NAMES, (_, id) => (HOP.has(id) ? 1 : 0));

/** Those that may not come as trailers (RFC 9110 section 6.5.1): framing, routing, connection. */
export const MAY_NOT_TRAIL = Uint8Array.from(NAMES, (_, id) =>
  HOP.has(id) ||
  ([NAME.host, NAME.contentLength, NAME.trailer, NAME.expect] as number[]).includes(id)
    ? 1
    : 0,
);

/** One step of the hash that `nameOf` expects; begins at 0. */
export const HASH_FACTOR = 31;

const octetsOf = NAMES.map((name) => Buffer.from(name, 'latin1'));
const [SLOTS, ID_BY_SLOT] = perfectTable();

/** The number of the name that stands at `[from, to)` and has this hash. */
export function nameOf(bytes: Uint8Array, from: number, to: number, hash: number): number {
  const id = ID_BY_SLOT[(hash >>> 0) % SLOTS] ?? 0;
  if (id === 0) return 0;
  const known = octetsOf[id];
  if (known === undefined || known.length !== to - from) return 0;
  for (let i = 0; i < known.length; i += 1) {
    if (TOKEN[bytes[from + i] ?? 0] !== known[i]) return 0;
  }
  return id;
}

function perfectTable(): readonly [number, Uint8Array] {
  for (let slots = 64; ; slots += 1) {
    const ids = new Uint8Array(slots);
    const fits = NAMES.every((name, id) => {
      if (id === 0) return true;
      let hash = 0;
      for (const octet of Buffer.from(name)) hash = (Math.imul(hash, HASH_FACTOR) + octet) | 0;
      const slot = (hash >>> 0) % slots;
      if (ids[slot] !== 0) return false;
      ids[slot] = id;
      return true;
    });
    if (fits) return [slots, ids];
  }
}

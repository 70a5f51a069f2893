/** What routes may not touch, known to the controller that refuses it and to the waypoint alike. */

/**
 * Headers that frame a message, belong to one connection, or say who calls. A filter that set one
 * would smuggle a request, or lend somebody's name.
 */
const FIXED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-forwarded-client-cert',
]);

/** Says whether a header, by its lower-case name, is out of reach of filters. */
export function isFixedHeader(name: string): boolean {
  return FIXED.has(name) || name.startsWith(':') || name.startsWith('plumbline-');
}

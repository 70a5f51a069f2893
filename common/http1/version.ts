/** The version as it stands in start lines. */
export const VERSION_BYTES = 8;
const PREFIX = Buffer.from('HTTP/1.', 'latin1');

/** The minor version at `at`, or -1 when it is neither HTTP/1.1 nor HTTP/1.0. */
export function versionMinor(bytes: Uint8Array, at: number): number {
  for (let i = 0; i < PREFIX.length; i += 1) if (bytes[at + i] !== PREFIX[i]) return -1;
  const minor = (bytes[at + PREFIX.length] ?? 0) - 0x30;
  return minor === 0 || minor === 1 ? minor : -1;
}

/**
 * Connections that the proof makes to see whether a pod is captured (hbone.md section 2.16).
 *
 * Outbound ones go to documentation addresses, which nobody can mean in earnest, so they are known by
 * that alone. Inbound ones are announced by main beforehand. Both are reported and closed: they reach
 * no application, no record and no counter of flows.
 */
import { cidrContains, parseAddress, parseCidr } from '#common/address.ts';

const DOCUMENTATION = [parseCidr('192.0.2.0/24'), parseCidr('2001:db8::/32')].filter(
  (cidr) => cidr !== undefined,
);

/** Says whether nothing but a probe can be bound for this address. */
export function isProbeDestination(canonical: string): boolean {
  // Most connections are told apart by their first letters, without parsing.
  if (!canonical.startsWith('192.0.2.') && !canonical.startsWith('2001:db8:')) return false;
  const bytes = parseAddress(canonical);
  return bytes !== undefined && DOCUMENTATION.some((cidr) => cidrContains(cidr, bytes));
}

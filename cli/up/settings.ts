/**
 * Kernel settings of a fresh network namespace of the world.
 *
 * Nodes forward for their pods; IPv6 works at once, without the second or two in which the kernel
 * would look for duplicate addresses.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { MeshError } from '#common/errors.ts';

const SETTINGS: readonly (readonly [string, string])[] = [
  ['net/ipv4/ip_forward', '1'],
  // Pods of one node speak through the node, which must not tell them of a shorter way.
  ['net/ipv4/conf/all/send_redirects', '0'],
  ['net/ipv4/conf/default/send_redirects', '0'],
  ['net/ipv4/conf/all/accept_redirects', '0'],
  ['net/ipv4/conf/default/accept_redirects', '0'],
  ['net/ipv6/conf/all/disable_ipv6', '0'],
  ['net/ipv6/conf/default/disable_ipv6', '0'],
  ['net/ipv6/conf/default/accept_dad', '0'],
  ['net/ipv6/conf/default/dad_transmits', '0'],
  ['net/ipv6/conf/default/accept_ra', '0'],
  ['net/ipv6/conf/all/forwarding', '1'],
];

/** To be called inside the namespace (`inNetns`): /proc/sys/net is that of the calling thread. */
export function writeSettings(): void {
  for (const [name, value] of SETTINGS) {
    const path = `/proc/sys/${name}`;
    if (!existsSync(path)) continue; // A kernel without IPv6.
    try {
      writeFileSync(path, value);
    } catch (cause) {
      throw new MeshError('SYSTEM_CALL_FAILED', `Cannot write "${path}": is /proc/sys read-only?`, {
        cause,
      });
    }
  }
}

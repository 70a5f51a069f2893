/**
 * The hosts file of a pod: names of services as the pod's namespace sees them, and of the pod itself.
 *
 * There is no DNS server in the world of `plumb up`; this file is what resolves names. Pure text.
 */
import type { HostEntry } from '#common/control/desired.ts';

export interface HostsOf {
  readonly namespace: string;
  readonly name: string;
  readonly addresses: readonly string[];
}

export function renderHosts(pod: HostsOf, entries: readonly HostEntry[]): string {
  const lines = [
    '# Written by plumb up; edits are lost.',
    '127.0.0.1 localhost',
    '::1 localhost ip6-localhost ip6-loopback',
    ...pod.addresses.map((address) => `${address} ${pod.name}`),
  ];
  for (const { namespace, names, addresses } of entries) {
    if (namespace !== '' && namespace !== pod.namespace) continue;
    for (const address of addresses) lines.push(`${address} ${names.join(' ')}`);
  }
  return `${lines.join('\n')}\n`;
}

/** The addresses behind a name as pods of `namespace` resolve it. */
export function resolveHost(
  name: string,
  namespace: string,
  entries: readonly HostEntry[],
): readonly string[] {
  return entries
    .filter((entry) => entry.namespace === '' || entry.namespace === namespace)
    .filter((entry) => entry.names.includes(name))
    .flatMap((entry) => entry.addresses);
}

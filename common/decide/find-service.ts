/**
 * Which service somebody means by an address or a hostname, when several have it.
 *
 * A service that shows itself to its own namespace only does not exist for the others. Of the rest
 * the one in the asker's namespace counts, then a canonical one, then any; the key breaks a tie, so
 * all workers agree. For a CIDR: own namespace, then the longest prefix, then a canonical one.
 */
import type { Service } from '../mesh/service.ts';
import type { View } from '../mesh/view.ts';

/** Finds the service with this canonical address, or with a CIDR around it. */
export function serviceAt(
  view: View,
  namespace: string,
  address: string,
  by: 'exact' | 'block',
): Service | undefined {
  if (by === 'exact') return best(view.serviceTable.at(address), namespace);
  const around = Array.from(view.serviceTable.around(address));
  const own = around.filter(({ service }) => service.namespace === namespace);
  const among = own.length > 0 ? own : around.filter(({ service }) => seen(service, namespace));
  const [first] = among;
  const longest = among.filter(({ bits }) => bits === first?.bits);
  return best(
    longest.map(({ service }) => service),
    namespace,
  );
}

export function serviceNamed(view: View, namespace: string, hostname: string): Service | undefined {
  return best(view.serviceTable.named(hostname), namespace);
}

function best(services: Iterable<Service>, namespace: string): Service | undefined {
  let found: Service | undefined;
  for (const service of services) {
    if (seen(service, namespace) && (found === undefined || wins(service, found, namespace))) {
      found = service;
    }
  }
  return found;
}

function seen({ visibility, namespace }: Service, by: string): boolean {
  return visibility === 'public' || namespace === by;
}

function wins(one: Service, other: Service, namespace: string): boolean {
  const [own, otherOwn] = [one.namespace === namespace, other.namespace === namespace];
  if (own !== otherOwn) return own;
  if (one.canonical !== other.canonical) return one.canonical;
  return one.key < other.key;
}

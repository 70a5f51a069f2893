/**
 * Which questions the mesh answers itself, and how (hbone.md section 2.8); pure.
 *
 * Only names of services that the asker may see, and only A and AAAA. A name that the mesh knows is
 * answered for both families, with nothing where it has no address of that family, so that nobody
 * else's answer gets in between. All other questions are not ours: undefined.
 */
import { familyOf } from '#common/address.ts';
import { serviceNamed } from '#common/decide/find-service.ts';
import type { Service } from '#common/mesh/service.ts';
import type { View } from '#common/mesh/view.ts';
import { TYPE_A, TYPE_AAAA } from './dns-message.ts';
import type { Answer } from './dns-message.ts';

const TTL_SECONDS = 30;
/** Endpoints of a headless service that one answer names. */
const MOST_ADDRESSES = 256;

export interface Asker {
  readonly namespace: string;
  readonly clusterDomain: string;
}

/** Answers `name` for `asker`; `random` is from 0 to below 1, for the order of the addresses. */
export function answerOf(
  view: View,
  asker: Asker,
  question: { readonly name: string; readonly type: number },
  random: () => number,
): Answer | undefined {
  const { name, type } = question;
  if (type !== TYPE_A && type !== TYPE_AAAA) return undefined;
  for (const { hostname, isStripped } of candidates(name, asker)) {
    const service = find(view, asker.namespace, hostname);
    if (service === undefined) continue;
    const all = service.headless ? endpointsOf(view, service) : exact(service);
    // Known by name alone (a ServiceEntry to be resolved): the answer is the resolver's.
    if (all.length === 0 && !service.headless) continue;
    const family = type === TYPE_A ? 4 : 6;
    const addresses = shuffled(
      all.filter((address) => familyOf(address) === family),
      random,
    );
    return {
      addresses: addresses.slice(0, MOST_ADDRESSES),
      canonicalName: isStripped ? hostname : undefined,
      ttlSeconds: TTL_SECONDS,
    };
  }
  return undefined;
}

/** The name as it is, with what Kubernetes would add, and without what a search list has added. */
function* candidates(
  name: string,
  { namespace, clusterDomain }: Asker,
): Generator<{ readonly hostname: string; readonly isStripped: boolean }> {
  yield { hostname: name, isStripped: false };
  const suffixes = [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
  for (const suffix of suffixes) {
    yield { hostname: `${name}.${suffix}`, isStripped: false };
  }
  for (const suffix of suffixes) {
    if (name.endsWith(`.${suffix}`)) {
      yield { hostname: name.slice(0, -suffix.length - 1), isStripped: true };
    }
  }
}

/** Exact names come before `*.` ones, and longer ones of those before shorter. */
function find(view: View, namespace: string, hostname: string): Service | undefined {
  const found = serviceNamed(view, namespace, hostname);
  if (found !== undefined) return found;
  for (let dot = hostname.indexOf('.'); dot >= 0; dot = hostname.indexOf('.', dot + 1)) {
    const wildcard = serviceNamed(view, namespace, `*${hostname.slice(dot)}`);
    if (wildcard !== undefined) return wildcard;
  }
  return undefined;
}

function exact({ addresses }: Service): readonly string[] {
  return addresses.filter((address) => !address.includes('/'));
}

function endpointsOf(view: View, service: Service): readonly string[] {
  const table = view.workloadTable;
  const found: string[] = [];
  for (const shape of table.backing(service.key)?.shapes ?? []) {
    for (const row of table.rowsOf(shape)) {
      const health = table.health(row);
      const isWanted = health === 'ready' || (service.publishNotReady && health === 'not-ready');
      if (isWanted && found.length < 2 * MOST_ADDRESSES)
        found.push(...table.workload(row).addresses);
    }
  }
  return found;
}

function shuffled(addresses: string[], random: () => number): readonly string[] {
  for (let i = addresses.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    const [one, other] = [addresses[i], addresses[j]];
    if (one === undefined || other === undefined) continue;
    addresses[i] = other;
    addresses[j] = one;
  }
  return addresses;
}

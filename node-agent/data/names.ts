/**
 * Addresses of names outside the mesh, for workloads of a ServiceEntry that have no address.
 *
 * Asked of the node's resolver, on main. Questions for one name are asked once at a time, and an
 * answer is kept for a short while, so that a busy name costs a question now and then.
 */
import { lookup } from 'node:dns/promises';
import { canonicalAddress } from '#common/address.ts';

const KEEP_MS = 15_000;
const MOST_NAMES = 4_096;

interface Known {
  readonly addresses: Promise<readonly string[]>;
  readonly askedAt: number;
}

export class Names {
  readonly #known = new Map<string, Known>();

  /** Resolves to the addresses of a name, those of IPv4 first; to none when it cannot be resolved. */
  async addressesOf(hostname: string): Promise<readonly string[]> {
    const known = this.#known.get(hostname);
    if (known !== undefined && performance.now() - known.askedAt < KEEP_MS) return known.addresses;
    this.#known.delete(hostname);
    const [oldest] = this.#known.keys();
    if (this.#known.size >= MOST_NAMES && oldest !== undefined) this.#known.delete(oldest);
    const addresses = ask(hostname);
    this.#known.set(hostname, { addresses, askedAt: performance.now() });
    return addresses;
  }
}

async function ask(hostname: string): Promise<readonly string[]> {
  try {
    const found = await lookup(hostname, { all: true, order: 'ipv4first' });
    return found.map(({ address }) => canonicalAddress(address));
  } catch {
    return []; // The connection that asked for it says so in its record.
  }
}

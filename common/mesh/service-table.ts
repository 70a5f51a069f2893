/**
 * The services of a view, by key, by hostname, by address and by CIDR.
 *
 * Addresses may be shared; who wins depends on who asks, so lookups return all and `common/decide`
 * chooses. CIDRs are kept by prefix length, so a lookup costs one probe for each length in use.
 */
import { formatAddress, isMapped, parseAddress, parseCidr } from '../address.ts';
import type { Service } from './service.ts';
import { MultiMap } from './multi-map.ts';
import { eachInSteps, type Steps } from './steps.ts';

/** A CIDR with this many bits or more is an IPv4 one. */
const IPV4_BITS = 96;

export class ServiceTable {
  readonly #byKey = new Map<string, Service>();
  readonly #byHostname = new MultiMap<string, Service>();
  readonly #byAddress = new MultiMap<string, Service>();
  /** Bits to masked address to services. */
  readonly #byCidr = new Map<number, MultiMap<string, Service>>();

  get size(): number {
    return this.#byKey.size;
  }

  *apply(services: readonly Service[], removed: readonly string[]): Steps<void> {
    for (const key of removed) this.#remove(key);
    yield* eachInSteps(services, (service) => {
      this.#remove(service.key);
      this.#add(service);
    });
  }

  get(key: string): Service | undefined {
    return this.#byKey.get(key);
  }

  all(): Iterable<Service> {
    return this.#byKey.values();
  }

  named(hostname: string): Iterable<Service> {
    return this.#byHostname.get(hostname);
  }

  /** Lists the services that have exactly this canonical address. */
  at(address: string): Iterable<Service> {
    return this.#byAddress.get(address);
  }

  /** Lists the services whose CIDR holds this address, with the longest prefix first. */
  *around(address: string): Generator<{ service: Service; bits: number }> {
    if (this.#byCidr.size === 0) return;
    const bytes = parseAddress(address);
    if (bytes === undefined) return;
    const four = isMapped(bytes);
    for (const bits of Array.from(this.#byCidr.keys()).toSorted((a, b) => b - a)) {
      // ::/0 holds no IPv4 address, though IPv4 is carried inside IPv6 here.
      if (four && bits < IPV4_BITS) continue;
      const services = this.#byCidr.get(bits)?.get(maskedKey(bytes, bits)) ?? [];
      for (const service of services) yield { service, bits };
    }
  }

  #add(service: Service): void {
    this.#byKey.set(service.key, service);
    this.#byHostname.add(service.hostname, service);
    for (const text of service.addresses) {
      const cidr = parseCidr(text);
      if (cidr === undefined) continue;
      if (cidr.bits === 128) {
        this.#byAddress.add(formatAddress(cidr.bytes), service);
      } else {
        const byBlock = this.#byCidr.get(cidr.bits) ?? new MultiMap<string, Service>();
        this.#byCidr.set(cidr.bits, byBlock);
        byBlock.add(maskedKey(cidr.bytes, cidr.bits), service);
      }
    }
  }

  #remove(key: string): void {
    const service = this.#byKey.get(key);
    if (service === undefined) return;
    this.#byKey.delete(key);
    this.#byHostname.remove(service.hostname, service);
    for (const text of service.addresses) {
      const cidr = parseCidr(text);
      if (cidr === undefined) continue;
      if (cidr.bits === 128) {
        this.#byAddress.remove(formatAddress(cidr.bytes), service);
      } else {
        const byBlock = this.#byCidr.get(cidr.bits);
        if (byBlock === undefined) continue;
        byBlock.remove(maskedKey(cidr.bytes, cidr.bits), service);
        if (byBlock.size === 0) this.#byCidr.delete(cidr.bits);
      }
    }
  }
}

/** Names the block of `bits` bits in which an address lies. */
export function maskedKey(bytes: Uint8Array, bits: number): string {
  const block = Uint8Array.from(bytes, (byte, i) => {
    const kept = Math.min(8, Math.max(0, bits - 8 * i));
    return byte & (0xff00 >> kept);
  });
  return block.join('.');
}

/**
 * Cluster addresses for Services that write none: one of each family, from the mesh's own ranges.
 *
 * An address follows from the name of the Service, so it is the same after a restart unless two names
 * meet; then the later takes the next free one. A Service keeps its address for as long as it exists.
 */
import { familyOf } from '#common/address.ts';
import { keyOf } from '../model/objects.ts';
import type { DeclaredService } from './schemas/service.ts';

/** 10.32.0.0/16 and fd00:32::/112: the same low 16 bits in both. */
const SLOTS = 65_536;

export class ServiceAddresses {
  readonly #slotByService = new Map<string, number>();

  /** Gives every Service its addresses; those of Services that are gone become free. */
  assign(services: readonly DeclaredService[]): DeclaredService[] {
    const wanting = new Set(services.filter(needsSlot).map(({ meta }) => keyOf(meta)));
    for (const key of this.#slotByService.keys()) {
      if (!wanting.has(key)) this.#slotByService.delete(key);
    }
    const written = new Set(services.flatMap(({ clusterIps }) => clusterIps));
    // A written address that an older Service was given: that one moves, the written one stays.
    for (const [key, slot] of this.#slotByService) {
      if (spell(slot).some((address) => written.has(address))) this.#slotByService.delete(key);
    }
    const taken = new Set(this.#slotByService.values());
    for (const key of [...wanting].toSorted()) {
      if (this.#slotByService.has(key)) continue;
      let slot = hash(key) % SLOTS;
      while (isReserved(slot) || taken.has(slot) || spell(slot).some((a) => written.has(a))) {
        slot = (slot + 1) % SLOTS;
      }
      taken.add(slot);
      this.#slotByService.set(key, slot);
    }
    return services.map((service) => this.#fill(service));
  }

  #fill(service: DeclaredService): DeclaredService {
    const slot = this.#slotByService.get(keyOf(service.meta));
    if (slot === undefined) return service;
    const clusterIps = service.families.map((family) => {
      const number = family === 'IPv4' ? 4 : 6;
      const own = service.clusterIps.find((address) => familyOf(address) === number);
      return own ?? spell(slot)[number === 4 ? 0 : 1] ?? '';
    });
    return { ...service, clusterIps: [...new Set([...service.clusterIps, ...clusterIps])] };
  }
}

function needsSlot(service: DeclaredService): boolean {
  return !service.headless && service.clusterIps.length < service.families.length;
}

function isReserved(slot: number): boolean {
  return slot === 0 || slot === SLOTS - 1;
}

function spell(slot: number): readonly [string, string] {
  return [`10.32.${slot >> 8}.${slot & 0xff}`, `fd00:32::${slot.toString(16)}`];
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  return value >>> 0;
}

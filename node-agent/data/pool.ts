/**
 * The tunnels that one pod has open in one worker, and who waits for one.
 *
 * Four things always hold. A tunnel serves only connections with the same source identity, the same
 * expected identities and the same next hop as it was opened for. While a tunnel to a hop is being
 * opened, everybody who wants that hop waits for it, in order, and nobody opens another. A tunnel
 * never gets more streams than its peer allows; a full one is offered again as soon as a stream has
 * ended. One that is retired (GOAWAY, an error, age) is never handed out again.
 *
 * Bookkeeping only: tunnels are opened, watched and closed by who owns the pool.
 */
import { MeshError } from '#common/errors.ts';
import type { Identity } from '#common/identity.ts';
import { formatEndpoint } from '#common/address.ts';
import * as limits from './limits.ts';

export interface Hop {
  readonly identity: Identity;
  readonly expected: readonly Identity[];
  readonly address: string;
  readonly port: number;
}

/** What the pool asks of a tunnel. */
export interface Poolable {
  /** How many more streams it takes now. */
  room(): number;
  /** How many are open. */
  streams(): number;
  /** Takes no more streams and ends when the last one has; at once when there is none. */
  retire(): void;
}

/** Who wants a stream; exactly one of the two is called, unless it cancels first. */
export interface Seeker<T> {
  onTunnel(tunnel: T): void;
  onNoTunnel(error: MeshError): void;
}

interface Entry<T> {
  readonly key: string;
  readonly hop: Hop;
  opening: T | undefined;
  /** Open, not retired, with room. The last one is used first, so that the others may fall idle. */
  readonly free: T[];
  readonly waiting: Set<Seeker<T>>;
  tunnels: number;
}

export class TunnelPool<T extends Poolable> {
  readonly #open: (hop: Hop) => T;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #entryByTunnel = new Map<T, Entry<T>>();
  /** Unused since when; the longest unused comes first. */
  readonly #idle = new Map<T, number>();
  readonly #retired = new Set<T>();
  #waiting = 0;
  #draining = false;

  /** `open` begins to open a tunnel; its end is told by `opened` or `lost`, never from inside. */
  constructor(open: (hop: Hop) => T, now: () => number) {
    this.#open = open;
    this.#now = now;
  }

  /** Tunnels alive, retired ones included. */
  get size(): number {
    return this.#entryByTunnel.size;
  }

  /** Everything alive, to be closed by the owner. */
  tunnels(): IterableIterator<T> {
    return this.#entryByTunnel.keys();
  }

  /** Finds or opens a tunnel for `seeker`; answers at once when one has room. */
  acquire(hop: Hop, seeker: Seeker<T>): void {
    if (this.#draining) {
      seeker.onNoTunnel(stopping(hop));
      return;
    }
    const entry = this.#entryOf(hop);
    const tunnel = entry.free.at(-1);
    if (tunnel !== undefined && entry.waiting.size === 0) {
      this.#give(entry, tunnel, seeker);
      return;
    }
    if (this.#waiting >= limits.MOST_WAITING) {
      seeker.onNoTunnel(limitReached(hop, 'too many connections wait for a tunnel'));
      return;
    }
    entry.waiting.add(seeker);
    this.#waiting += 1;
    this.#openIfNeeded(entry);
  }

  /** Forgets a seeker that no longer wants a tunnel. */
  cancel(hop: Hop, seeker: Seeker<T>): void {
    const entry = this.#entries.get(keyOf(hop));
    if (entry?.waiting.delete(seeker) === true) this.#waiting -= 1;
  }

  /** Takes in a tunnel that is open already, a predecessor's; it serves from `freed` on. */
  adopt(hop: Hop, tunnel: T, isRetired: boolean): void {
    const entry = this.#entryOf(hop);
    entry.tunnels += 1;
    this.#entryByTunnel.set(tunnel, entry);
    if (isRetired) this.#retired.add(tunnel);
  }

  /** The tunnel is ready for streams. */
  opened(tunnel: T): void {
    const entry = this.#entryByTunnel.get(tunnel);
    if (entry === undefined) return;
    if (entry.opening === tunnel) entry.opening = undefined;
    if (this.#retired.has(tunnel)) return;
    if (tunnel.room() <= 0) {
      // A peer that allows no streams must not make us open tunnel after tunnel.
      this.#failWaiting(entry, limitReached(entry.hop, 'the peer allows no streams'));
      this.retire(tunnel);
      return;
    }
    entry.free.push(tunnel);
    this.#serve(entry);
    this.#noteIdle(tunnel);
    this.#openIfNeeded(entry);
  }

  /** A stream of the tunnel has ended, or its peer allows more than before. */
  freed(tunnel: T): void {
    const entry = this.#entryByTunnel.get(tunnel);
    if (entry === undefined || entry.opening === tunnel) return;
    if (!this.#retired.has(tunnel)) {
      if (tunnel.room() > 0 && !entry.free.includes(tunnel)) entry.free.push(tunnel);
      this.#serve(entry);
    }
    this.#noteIdle(tunnel);
  }

  /** The tunnel takes no new streams; those it has go on. */
  retire(tunnel: T): void {
    const entry = this.#entryByTunnel.get(tunnel);
    if (entry === undefined || this.#retired.has(tunnel)) return;
    this.#retired.add(tunnel);
    this.#idle.delete(tunnel);
    remove(entry.free, tunnel);
    if (entry.opening === tunnel) entry.opening = undefined;
    tunnel.retire();
    this.#openIfNeeded(entry);
  }

  /** The tunnel is gone; when it never opened, those who waited for it are told why. */
  lost(tunnel: T, error: MeshError): void {
    const entry = this.#entryByTunnel.get(tunnel);
    if (entry === undefined) return;
    this.#entryByTunnel.delete(tunnel);
    this.#retired.delete(tunnel);
    this.#idle.delete(tunnel);
    remove(entry.free, tunnel);
    entry.tunnels -= 1;
    const wasOpening = entry.opening === tunnel;
    if (wasOpening) entry.opening = undefined;
    if (wasOpening) this.#failWaiting(entry, error);
    else this.#openIfNeeded(entry);
    this.#forgetIfEmpty(entry);
  }

  /** Retires what has been idle too long; called now and then. */
  sweep(): void {
    const before = this.#now() - limits.TUNNEL_IDLE_MS;
    for (const [tunnel, since] of this.#idle) {
      if (since > before) return;
      this.retire(tunnel);
    }
  }

  /** Hands out nothing new and retires everything. */
  drain(): void {
    this.#draining = true;
    for (const entry of this.#entries.values()) this.#failWaiting(entry, stopping(entry.hop));
    for (const tunnel of Array.from(this.#entryByTunnel.keys())) this.retire(tunnel);
  }

  #entryOf(hop: Hop): Entry<T> {
    const key = keyOf(hop);
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const entry: Entry<T> = {
      key,
      hop,
      opening: undefined,
      free: [],
      waiting: new Set(),
      tunnels: 0,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  #openIfNeeded(entry: Entry<T>): void {
    if (this.#draining || entry.waiting.size === 0) return;
    if (entry.opening !== undefined || entry.free.length > 0) return;
    if (entry.tunnels >= limits.MOST_TUNNELS_PER_HOP) return; // a freed stream will serve them
    if (this.size >= limits.MOST_TUNNELS_PER_POD && !this.#makeRoom()) {
      this.#failWaiting(entry, limitReached(entry.hop, 'the pod has too many tunnels open'));
      return;
    }
    const tunnel = this.#open(entry.hop);
    entry.opening = tunnel;
    entry.tunnels += 1;
    this.#entryByTunnel.set(tunnel, entry);
  }

  #makeRoom(): boolean {
    const [oldest] = this.#idle.keys();
    if (oldest === undefined) return false;
    this.retire(oldest);
    return true;
  }

  #serve(entry: Entry<T>): void {
    for (const seeker of entry.waiting) {
      const tunnel = entry.free.at(-1);
      if (tunnel === undefined) break;
      entry.waiting.delete(seeker);
      this.#waiting -= 1;
      this.#give(entry, tunnel, seeker);
    }
  }

  #give(entry: Entry<T>, tunnel: T, seeker: Seeker<T>): void {
    this.#idle.delete(tunnel);
    seeker.onTunnel(tunnel);
    if (tunnel.room() <= 0) remove(entry.free, tunnel);
    this.#noteIdle(tunnel); // the seeker may have found no use for it
  }

  #noteIdle(tunnel: T): void {
    if (!this.#entryByTunnel.has(tunnel) || this.#retired.has(tunnel)) return;
    if (tunnel.streams() > 0 || this.#idle.has(tunnel)) return;
    this.#idle.set(tunnel, this.#now());
    if (this.#idle.size > limits.MOST_IDLE_TUNNELS) this.#makeRoom();
  }

  #failWaiting(entry: Entry<T>, error: MeshError): void {
    const seekers = Array.from(entry.waiting);
    entry.waiting.clear();
    this.#waiting -= seekers.length;
    for (const seeker of seekers) seeker.onNoTunnel(error);
  }

  #forgetIfEmpty(entry: Entry<T>): void {
    if (entry.tunnels === 0 && entry.waiting.size === 0 && entry.opening === undefined) {
      this.#entries.delete(entry.key);
    }
  }
}

function keyOf(hop: Hop): string {
  return `${hop.identity} ${hop.address} ${hop.port} ${hop.expected.join(' ')}`;
}

function remove<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}

function stopping(hop: Hop): MeshError {
  return new MeshError('STOPPING', `Cannot open a tunnel to "${spell(hop)}": draining`);
}

function limitReached(hop: Hop, why: string): MeshError {
  return new MeshError('LIMIT_REACHED', `Cannot open a tunnel to "${spell(hop)}": ${why}`);
}

function spell(hop: Hop): string {
  return formatEndpoint(hop.address, hop.port);
}

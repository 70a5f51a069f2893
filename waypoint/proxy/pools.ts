/**
 * All connections to endpoints of one worker, by endpoint and source.
 */
import type { Answerer, Exchange } from './exchange.ts';
import { Lane } from './lane.ts';
import type { Destination } from './router.ts';
import type { Shared } from './shared.ts';
import type { Ticking } from './sweep.ts';

export class Pools implements Ticking {
  readonly #lanes = new Map<Destination, Map<string, Lane>>();
  #shared: Shared | undefined;

  /** To be called once, before anything else: pools and what they share know each other. */
  use(shared: Shared): void {
    this.#shared = shared;
    shared.sweep.add(this);
  }

  /** A way to the endpoint; undefined when there is none left. */
  take(to: Destination, source: string, exchange: Exchange): Answerer | undefined {
    return this.#lane(to, source)?.take(exchange);
  }

  get size(): number {
    let size = 0;
    for (const bySource of this.#lanes.values()) size += bySource.size;
    return size;
  }

  /** Forgets where nothing is connected any more. */
  onTick(): void {
    for (const [to, bySource] of this.#lanes) {
      for (const [source, lane] of bySource) if (lane.isEmpty) bySource.delete(source);
      if (bySource.size === 0) this.#lanes.delete(to);
    }
  }

  #lane(to: Destination, source: string): Lane | undefined {
    let bySource = this.#lanes.get(to);
    const known = bySource?.get(source);
    if (known !== undefined) return known;
    if (this.#shared === undefined) return undefined;
    if (bySource === undefined) {
      bySource = new Map();
      this.#lanes.set(to, bySource);
    }
    const lane = new Lane(this.#shared, to, source);
    bySource.set(source, lane);
    return lane;
  }
}

/**
 * A claim of the tour: a sentence, and the way in which it is observed.
 *
 * `show` returns what was seen, line by line, or throws when the claim was not observed; nothing is
 * taken from what was written or intended.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Guide } from './guide.ts';
import type { WireWatch } from './wire.ts';

export interface Stage {
  readonly guide: Guide;
  readonly wire: WireWatch;
}

export interface Claim {
  readonly title: string;
  readonly show: (stage: Stage) => Promise<readonly string[]>;
}

/** The world of examples/shop, as far as the claims name it. */
export const SHOP = {
  customer: 'shop/customer',
  web: 'shop/web',
  cart: 'shop/cart',
  catalog: 'shop/catalog',
  visitor: 'office/visitor',
  /** In every payload between pods of the mesh. */
  secret: 'only-between-the-two-of-us',
  /** In what the visitor, outside the mesh, sends and asks for. */
  postcard: 'a-postcard-anyone-can-read',
} as const;

export function insist(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}

/** Runs something again and again until it is stopped, and counts how it went. */
export class Load {
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  ok = 0;
  failed = 0;
  lastError = '';

  constructor(everyMs: number, work: () => Promise<boolean>) {
    this.#running = this.#run(everyMs, work);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(everyMs: number, work: () => Promise<boolean>): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        if (await work()) this.ok += 1;
        else this.failed += 1;
      } catch (error) {
        this.failed += 1;
        this.lastError = error instanceof Error ? error.message : String(error);
      }
      await delay(everyMs, undefined, { signal }).catch(() => {});
    }
  }
}

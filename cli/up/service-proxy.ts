/**
 * Keeps the service rules of every node as the controller's services and endpoints are.
 *
 * It looks again soon after anything changed, and once more a little later, since the controller
 * takes a moment to work out what a change means; rules are loaded only when they differ.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { decodeText, list } from '#common/control/decode.ts';
import { service, workload } from '#common/control/mesh-schema.ts';
import type { Logger } from '#common/log.ts';
import { run } from './command.ts';
import { SERVICE_CHAIN_SETUP, serviceRules } from './service-rules.ts';
import type { Space } from './world.ts';

export interface ServiceProxyDeps {
  /** Asks the controller. */
  readonly ask: (path: string) => Promise<string>;
  readonly nodes: () => readonly Space[];
  readonly families: readonly (4 | 6)[];
  readonly log: Logger;
}

const LOOK_AFTER_MS = [100, 1000] as const;
const MOST = 1_000_000;
const MOST_LENGTH = 512 << 20;

export class ServiceProxy {
  readonly #deps: ServiceProxyDeps;
  readonly #stopped = new AbortController();
  /** What each prepared node has in force, by its namespace and family. */
  readonly #loaded = new Map<string, string>();
  #isDue = false;
  #working: Promise<void> | undefined;

  constructor(deps: ServiceProxyDeps) {
    this.#deps = deps;
  }

  /** Makes the chains of a new node. */
  async prepare(node: Space): Promise<void> {
    for (const family of this.#deps.families) {
      await restore(node, family, SERVICE_CHAIN_SETUP);
      this.#loaded.set(keyOf(node, family), '');
    }
  }

  look(): void {
    this.#isDue = true;
    if (this.#stopped.signal.aborted) return;
    this.#working ??= this.#work().finally(() => (this.#working = undefined));
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#working;
  }

  /** Never rejects. */
  async #work(): Promise<void> {
    const { signal } = this.#stopped;
    while (this.#isDue && !signal.aborted) {
      this.#isDue = false;
      for (const waitMs of LOOK_AFTER_MS) {
        await delay(waitMs, undefined, { signal }).catch(() => {});
        if (signal.aborted) return;
        try {
          await this.#apply();
        } catch (error) {
          this.#deps.log.warn('service addresses are not up to date', { error });
          this.#isDue = true;
        }
      }
    }
  }

  async #apply(): Promise<void> {
    const { ask, nodes, families } = this.#deps;
    const [services, workloads] = await Promise.all([
      ask('/v1/services').then((body) => decode(body, list(service, MOST), 'services')),
      ask('/v1/workloads').then((body) => decode(body, list(workload, MOST), 'workloads')),
    ]);
    for (const family of families) {
      const rules = serviceRules(services, workloads, family);
      for (const node of nodes()) await this.#load(node, family, rules);
    }
  }

  async #load(node: Space, family: 4 | 6, rules: string): Promise<void> {
    const loaded = this.#loaded.get(keyOf(node, family));
    if (loaded === undefined || loaded === rules) return;
    await restore(node, family, rules);
    this.#loaded.set(keyOf(node, family), rules);
  }
}

function keyOf({ netns }: Space, family: 4 | 6): string {
  return `${netns} ${family}`;
}

async function restore({ path }: Space, family: 4 | 6, rules: string): Promise<void> {
  const program = family === 4 ? 'iptables-restore' : 'ip6tables-restore';
  await run('nsenter', [`--net=${path}`, '--', program, '--noflush', '-w', '5'], rules);
}

function decode<T>(message: string, decoder: (value: unknown) => T, what: string): T {
  return decodeText(message, { what: `the ${what}`, decoder, maxLength: MOST_LENGTH });
}

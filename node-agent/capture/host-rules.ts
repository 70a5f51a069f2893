/**
 * Keeps the rules and sets of host-plan.ts in the node's namespace.
 *
 * A set holds the addresses of captured pods, each with the uid of its pod, and an address leaves
 * only with the pod it was given to: an address that another pod has taken over stays.
 */
import { type Family, familyOf } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { chooseBackend, FAMILIES, openBackend, type Programs } from './backend.ts';
import type { Command } from './command.ts';
import { renderRemoval, renderTable } from './compare.ts';
import { hostTableIsRight, parseSet, planHost, PROBE_SETS } from './host-plan.ts';

export interface HostRulesDeps {
  readonly command: Command;
  readonly programs: Programs;
  readonly log: Logger;
  /** The node's network namespace; the agent's own when left out. */
  readonly netns?: number;
  readonly families?: readonly Family[];
}

const POD_UID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

export class HostRules {
  readonly #deps: HostRulesDeps;
  readonly #families: readonly Family[];
  readonly #owners = new Map<string, string>();
  #step: Promise<unknown> = Promise.resolve();

  constructor(deps: HostRulesDeps) {
    this.#deps = deps;
    this.#families = deps.families ?? FAMILIES;
  }

  /** Makes the sets, takes over what a predecessor left in them, and loads the rules. */
  async start(): Promise<void> {
    await this.#serially(async () => {
      await this.#ipset(
        this.#families.map(
          (family) =>
            `create ${PROBE_SETS[family]} hash:ip family ${family === 4 ? 'inet' : 'inet6'} comment`,
        ),
      );
      for (const family of this.#families) {
        const text = await this.#run('ipset', ['save', PROBE_SETS[family]]);
        for (const { address, podUid } of parseSet(text, PROBE_SETS[family])) {
          this.#owners.set(address, podUid);
        }
      }
      await this.#load();
    });
  }

  /** Loads again what is not as it should be; returns whether anything was not. */
  async repair(): Promise<boolean> {
    return this.#serially(async () => this.#load());
  }

  /** Lets the node probe this pod at exactly these addresses. */
  async set(podUid: string, addresses: readonly string[]): Promise<void> {
    if (!POD_UID.test(podUid)) {
      throw new MeshError('CONFIG_INVALID', `Cannot let the node probe pod "${podUid}": not a uid`);
    }
    await this.#serially(async () => {
      const wanted = addresses.filter((address) => this.#families.includes(familyOf(address)));
      const added = wanted.filter((address) => this.#owners.get(address) !== podUid);
      for (const address of added) this.#owners.set(address, podUid);
      const dropped = this.#drop((address, owner) => owner === podUid && !wanted.includes(address));
      await this.#ipset([...added.map((address) => addLine(address, podUid)), ...dropped]);
    });
  }

  async remove(podUid: string): Promise<void> {
    await this.#serially(async () => this.#ipset(this.#drop((_, owner) => owner === podUid)));
  }

  /** Forgets every pod that is not among these, after a restart of the agent. */
  async prune(known: ReadonlySet<string>): Promise<void> {
    await this.#serially(async () => this.#ipset(this.#drop((_, owner) => !known.has(owner))));
  }

  /** Takes everything away; only for when the mesh leaves the node. */
  async stop(): Promise<void> {
    await this.#serially(async () => {
      const { used } = await this.#choose();
      for (const family of this.#families) {
        for (const table of ['nat', 'raw'] as const) {
          const input = renderRemoval(table, used.rules[family].get(table));
          if (input !== undefined) await used.backend.restore(family, input);
        }
        await this.#ipset([`destroy ${PROBE_SETS[family]}`]);
      }
      this.#owners.clear();
    });
  }

  async #load(): Promise<boolean> {
    const { used } = await this.#choose();
    let changed = false;
    for (const family of this.#families) {
      for (const { table, chains } of planHost(family)) {
        if (hostTableIsRight(chains, used.rules[family], table)) continue;
        const saved = used.rules[family].get(table);
        await used.backend.restore(family, renderTable(table, chains, saved));
        changed = true;
      }
    }
    return changed;
  }

  async #choose(): Promise<ReturnType<typeof chooseBackend>> {
    const { command, programs } = this.#deps;
    const where = { ...this.#where(), families: this.#families };
    const holdings = [...programs.keys()].map(async (flavour) => {
      const backend = openBackend(command, programs, { ...where, flavour });
      return { backend, rules: await backend.read() };
    });
    return chooseBackend(await Promise.all(holdings));
  }

  #drop(leaves: (address: string, owner: string) => boolean): readonly string[] {
    const lines: string[] = [];
    for (const [address, owner] of this.#owners) {
      if (!leaves(address, owner)) continue;
      this.#owners.delete(address);
      lines.push(`del ${PROBE_SETS[familyOf(address)]} ${address}`);
    }
    return lines;
  }

  async #ipset(lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return;
    await this.#run('ipset', ['restore', '-exist'], `${lines.join('\n')}\n`);
  }

  async #run(program: string, args: readonly string[], input?: string): Promise<string> {
    const given = input === undefined ? {} : { input };
    return this.#deps.command({ program, args, ...this.#where(), ...given });
  }

  #where(): { readonly netns?: number } {
    return this.#deps.netns === undefined ? {} : { netns: this.#deps.netns };
  }

  async #serially<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#step.then(step);
    this.#step = result.catch((error: unknown) => {
      this.#deps.log.debug('a step on the rules of the node failed', { error });
    });
    return result;
  }
}

function addLine(address: string, podUid: string): string {
  return `add ${PROBE_SETS[familyOf(address)]} ${address} comment "${podUid}"`;
}

/**
 * The capture of one pod: its rules, policy routing and connection tracking, made right in an order
 * that is safe at every stop, read back, repaired, and taken away without trace.
 *
 * Each step is idempotent and one table of one family is changed as a whole or not at all, so a
 * step that failed, or an agent that was killed, is continued by doing it again. Steps of one pod
 * never overlap.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Family } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { CaptureOptions } from '#common/mesh/workload.ts';
import {
  chooseBackend,
  FAMILIES,
  type Flavour,
  type Holding,
  openBackend,
  type Programs,
} from './backend.ts';
import type { Command } from './command.ts';
import {
  compare,
  type Drift,
  isCaptured,
  renderRemoval,
  renderTable,
  udpPackets,
} from './compare.ts';
import { type Connection, cutConnections, readConnections } from './connections.ts';
import { type Plan, planCapture, type Table } from './rules.ts';
import {
  compareRouting,
  readFamilies,
  readLegacyTables,
  readLoose,
  readRouting,
  type Routing,
  writeLoose,
  writeMarkAccepted,
  writeRouting,
} from './routing.ts';

export interface CaptureDeps {
  readonly command: Command;
  readonly programs: Programs;
  readonly log: Logger;
  /** An open descriptor of the pod's network namespace; the caller keeps it open. */
  readonly netns: number;
}

export interface Enrolment {
  readonly flavour: Flavour;
  /** False when everything was right already, as after a restart of the agent. */
  readonly changed: boolean;
  /** Connections that stood before and end in clear. */
  readonly existing: number;
  /** Connections that stood before and were cut because the pod asks for that. */
  readonly cut: number;
  readonly ms: number;
}

/** Everything about a pod that capture sets, as it is now. */
interface Observed {
  readonly holding: Holding;
  readonly other: Flavour | undefined;
  readonly routing: ReadonlyMap<Family, Routing>;
  readonly families: readonly Family[];
  /** Undefined when it cannot be read, and then nothing can be done about it either. */
  readonly loose: boolean | undefined;
}

/** Where the setting cannot be written, connections get this long to show up in the tracking. */
const TRACKING_HEAD_START_MS = 1000;

export class Capture {
  readonly #deps: CaptureDeps;
  #options: CaptureOptions;
  #plans: Readonly<Record<Family, Plan>>;
  #wanted = false;
  #isClosed = false;
  #looseWritable = true;
  #step: Promise<unknown> = Promise.resolve();
  #udpBefore = 0;
  #udpNow = 0;
  #other: Flavour | undefined;

  constructor(deps: CaptureDeps, options: CaptureOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#plans = plansOf(options);
  }

  /** UDP packets that went past the mesh, as of the last reading of the rules. */
  get udpPackets(): number {
    return this.#udpBefore + this.#udpNow;
  }

  /** The other flavour of iptables, when it holds rules in this pod as well. */
  get otherFlavour(): Flavour | undefined {
    return this.#other;
  }

  /**
   * Captures the pod; `openListeners` is called when nothing is redirected yet and must have the
   * agent listening when it ends. Connections that stand are left alone unless the options say to
   * cut them. `onLoaded` is called between the last writing and the reading back.
   */
  async enrol(
    openListeners: () => void | Promise<void>,
    onLoaded: (flavour: Flavour) => void = () => {},
  ): Promise<Enrolment> {
    return this.#serially(async () => {
      const start = performance.now();
      this.#wanted = true;
      const before = await this.#observe();
      const { flavour } = before.holding.backend;
      const fresh = !FAMILIES.some((family) => isCaptured(before.holding.rules[family]));
      const standing = fresh ? readConnections(this.#deps.netns) : [];
      this.#looseWritable = writeLoose(this.#deps.netns, false);
      await openListeners();
      const changed = this.#drifts(before).length > 0;
      if (changed) await this.#load(before, 'enrol', standing);
      onLoaded(flavour);
      if (changed) await this.#mustBeRight();
      const cut = this.#options.cutExisting ? await this.#cut(standing) : 0;
      const ms = Math.round(performance.now() - start);
      return { flavour, changed, existing: standing.length - cut, cut, ms };
    });
  }

  /** Whether there is anything of ours in the pod, whoever has loaded it, and be it in part. */
  async isLoaded(): Promise<boolean> {
    return this.#serially(async () => {
      const { holding, routing } = await this.#observe();
      if (FAMILIES.some((family) => isCaptured(holding.rules[family]))) return true;
      return [...routing.values()].some(({ rules, routes }) => rules + routes > 0);
    });
  }

  /** Lists what is not as it should be; nothing for a pod that is not captured by our own will. */
  async verify(): Promise<readonly Drift[]> {
    return this.#serially(async () => (this.#wanted ? this.#drifts(await this.#observe()) : []));
  }

  /**
   * Makes right what is not, the fence first, and returns what that was. `onLoaded` is called as in
   * `enrol`, if anything was written.
   */
  async repair(onLoaded: () => void = () => {}): Promise<readonly Drift[]> {
    return this.#serially(async () => {
      if (!this.#wanted) return [];
      const observed = await this.#observe();
      const drifts = this.#drifts(observed);
      if (drifts.length === 0) return [];
      this.#looseWritable = writeLoose(this.#deps.netns, false);
      await this.#load(observed, 'repair', []);
      onLoaded();
      await this.#mustBeRight();
      return drifts;
    });
  }

  /** Takes over other exclusions, DNS capture or fence, and loads what that changes. */
  async update(options: CaptureOptions): Promise<void> {
    const plans = plansOf(options);
    this.#options = options;
    this.#plans = plans;
    await this.repair();
  }

  /**
   * Lets the pod go: new connections pass by at once, captured ones go on until `drain` ends. It is
   * called when nothing is redirected any more; the listeners may be closed from then on.
   */
  async release(drain: () => Promise<void>): Promise<void> {
    // A pod may end at any time; then only what it has in the agent is left to drain.
    const unlessClosed = (error: unknown): void => {
      if (!this.#isClosed) throw error;
    };
    await this.#serially(async () => {
      this.#wanted = false;
      const { holding } = await this.#observe();
      await this.#remove(['filter', 'nat', 'raw'], holding);
    }).catch(unlessClosed);
    // Meanwhile the rules in mangle keep connection tracking on, and lead replies to the agent.
    await drain();
    await this.#serially(async () => {
      if (this.#wanted) return; // It was enrolled again while it drained.
      const { holding, routing } = await this.#observe();
      await this.#remove(['mangle'], holding);
      this.#route(routing, 0);
      writeMarkAccepted(this.#deps.netns, false);
      writeLoose(this.#deps.netns, true);
    }).catch(unlessClosed);
  }

  /** Begins no further step, and resolves when the last one has ended. What is loaded stays. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#step;
  }

  async #serially<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#step.then(async () => {
      if (!this.#isClosed) return step();
      throw new MeshError('STOPPING', 'Cannot change the capture of the pod: it has ended');
    });
    this.#step = result.catch(() => {});
    return result;
  }

  async #observe(): Promise<Observed> {
    const { command, programs, netns } = this.#deps;
    const { families, routed } = readFamilies(netns);
    const flavours = [...programs.keys()].filter(
      // Asking the legacy programs would make the kernel set up their tables; look without.
      (flavour) => programs.size === 1 || flavour === 'nft' || readLegacyTables(netns),
    );
    const routing = new Map(routed.map((f) => [f, readRouting(netns, f)]));
    const holdings = Promise.all(
      flavours.map(async (flavour) => {
        const backend = openBackend(command, programs, { flavour, netns, families });
        return { backend, rules: await backend.read() };
      }),
    );
    const { used, other } = chooseBackend(await holdings);
    this.#countUdp(used);
    this.#other = other;
    return {
      holding: used,
      other,
      families,
      routing,
      loose: readLoose(netns),
    };
  }

  #drifts({ holding, families, routing, loose }: Observed): readonly Drift[] {
    return [
      ...families.flatMap((family) => compare(this.#plans[family], holding.rules[family])),
      ...Array.from(routing, ([family, found]) => compareRouting(family, found)).flat(),
      ...(loose === true && this.#looseWritable ? [LOOSE_DRIFT] : []),
    ];
  }

  /**
   * A pod that runs uncaptured gets its fence last, so that no connection fails on the way; one
   * whose rules were damaged gets it first, so that none passes in clear.
   */
  async #load(
    observed: Observed,
    why: 'enrol' | 'repair',
    standing: readonly Connection[],
  ): Promise<void> {
    this.#route(observed.routing, 1);
    writeMarkAccepted(this.#deps.netns, true);
    if (this.#looseWritable) return this.#write(ORDER[why], observed);
    await this.#write(['mangle'], observed);
    await this.#trackStanding(standing);
    await this.#write(
      ORDER[why].filter((table) => table !== 'mangle'),
      observed,
    );
  }

  /** One program a family takes all tables, in this order; it stops at the first that fails. */
  async #write(tables: readonly Table[], { holding, families }: Observed): Promise<void> {
    const { backend, rules } = holding;
    await all(
      families.map(async (family) => {
        const plan = this.#plans[family];
        const wrong = new Set(compare(plan, rules[family]).map(({ table }) => table));
        const input = tables
          .filter((table) => wrong.has(table))
          .map((table) => {
            const chains = plan.filter((each) => each.table === table).flatMap((p) => p.chains);
            return renderTable(table, chains, rules[family].get(table));
          });
        if (input.length > 0) await backend.restore(family, input.join(''));
      }),
    );
    if (tables.includes('mangle')) this.#udpRestart();
  }

  async #remove(tables: readonly Table[], { backend, rules }: Holding): Promise<void> {
    await all(
      FAMILIES.map(async (family) => {
        const input = tables.flatMap(
          (table) => renderRemoval(table, rules[family].get(table)) ?? [],
        );
        if (input.length > 0) await backend.restore(family, input.join(''));
      }),
    );
    if (tables.includes('mangle')) this.#udpRestart();
  }

  #route(routing: ReadonlyMap<Family, Routing>, wanted: 0 | 1): void {
    for (const [family, found] of routing) {
      writeRouting(this.#deps.netns, { family, found, wanted });
    }
  }

  /** Tracking is on since the rules in mangle; connections that move a packet now live on. */
  async #trackStanding(standing: readonly Connection[]): Promise<void> {
    this.#looseWritable = writeLoose(this.#deps.netns, false);
    if (this.#looseWritable || standing.length === 0) return;
    this.#deps.log.warn('connection tracking cannot be set; silent connections may break', {
      connections: standing.length,
    });
    await delay(TRACKING_HEAD_START_MS);
  }

  async #cut(standing: readonly Connection[]): Promise<number> {
    const { command, netns } = this.#deps;
    return cutConnections(command, netns, standing);
  }

  async #mustBeRight(): Promise<void> {
    const [first, ...more] = this.#drifts(await this.#observe());
    if (first === undefined) return;
    throw new MeshError(
      'CAPTURE_FAILED',
      `Cannot capture the pod: after loading, ${first.table} ${first.chain} has ${first.found}`,
      { details: { table: first.table, chain: first.chain, others: more.length } },
    );
  }

  /** The counters of the kernel begin anew when the rules are loaded again. */
  #countUdp({ rules }: Holding): void {
    const now = udpPackets(rules[4]) + udpPackets(rules[6]);
    if (now < this.#udpNow) this.#udpRestart();
    this.#udpNow = now;
  }

  #udpRestart(): void {
    this.#udpBefore += this.#udpNow;
    this.#udpNow = 0;
  }
}

const ORDER: Readonly<Record<'enrol' | 'repair', readonly Table[]>> = {
  enrol: ['mangle', 'raw', 'nat', 'filter'],
  repair: ['filter', 'mangle', 'raw', 'nat'],
};

const LOOSE_DRIFT: Drift = {
  table: 'sysctl',
  chain: 'nf_conntrack_tcp_loose',
  found: 'connections are taken up in mid-stream',
};

function plansOf(options: CaptureOptions): Readonly<Record<Family, Plan>> {
  return { 4: planCapture(4, options), 6: planCapture(6, options) };
}

/** Waits for all, also when one fails: no step may still run when the next begins. */
async function all(work: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(work);
  const failure = results.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

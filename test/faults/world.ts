/**
 * The bench of the fault tests: two nodes with three pods each, real agents and a real controller,
 * and the load of every fault test between them.
 *
 * Two things hold in each of them, whatever is broken: no payload crosses a wire between the nodes in
 * clear, and nobody is taken for somebody else. They are looked at on the wire, by the servers and in
 * the agents' own records, and are marks of every scenario beside its own.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Mesh } from '../helpers/mesh.ts';
import {
  account,
  documents,
  namespace,
  nodes,
  peerAuthentication,
  pod,
} from '../helpers/mesh-yaml.ts';
import { eventually } from '../helpers/program.ts';
import { MARKER } from '../helpers/wire-watch.ts';
import type { LoadFigures, LoadPlan, Pair } from './load-messages.ts';
import { Load } from './load.ts';
import {
  judge,
  type Findings,
  type Options,
  type Result,
  type Scenario,
  type Undo,
  undoing,
} from './scenario.ts';

export interface WorldOptions {
  readonly agentFlags?: (node: number) => readonly string[];
  readonly agentEnv?: (node: number) => Readonly<Record<string, string>>;
  readonly controllerFlags?: readonly string[];
  /** One family only. */
  readonly family?: '4' | '6';
  readonly yaml?: string;
  /** More pods, by name, with the node of each; their accounts are their names too. */
  readonly extra?: Readonly<Record<string, 1 | 2>>;
  readonly mtls?: 'STRICT' | 'PERMISSIVE';
  /** What differs from the usual load. */
  readonly load?: Partial<Omit<LoadPlan, 'pods'>>;
  /** Several run at once, so each takes less of the machine. */
  readonly isLight?: boolean;
}

export const LEFT = ['a1', 'a2', 'a3'] as const;
export const RIGHT = ['b1', 'b2', 'b3'] as const;
const ALL = [...LEFT, ...RIGHT];

/** 200 requests a second, open loop, over 40 connections between the six pods, and a bulk stream. */
const USUAL: Omit<LoadPlan, 'pods'> = {
  pairs: ALL.flatMap((from) => ALL.filter((to) => to !== from).map((to) => ({ from, to }))),
  connections: 40,
  requestsPerSecond: 200,
  requestBytes: 1024,
  bulkMibPerSecond: 16,
  fresh: { perSecond: 0, pairs: [] },
};
const LIGHT = { requestsPerSecond: 40, connections: 20, bulkMibPerSecond: 1 };

/** From each pod of the left node to one of the right, and back. */
export const ACROSS: readonly Pair[] = [
  { from: 'a1', to: 'b1' },
  { from: 'b2', to: 'a2' },
];

export class World {
  readonly mesh: Mesh;
  readonly load: Load;
  /** The usual YAML, without what a scenario added. */
  readonly yaml: string;
  /** Of the pods. */
  readonly names: readonly string[];
  /** Sums over all windows that were taken. */
  #wrong = 0;
  #misidentified = 0;
  #requests = 0;
  #fromControl = 0;

  private constructor(mesh: Mesh, load: Load, yaml: string, names: readonly string[]) {
    this.names = names;
    this.mesh = mesh;
    this.load = load;
    this.yaml = yaml;
  }

  static async start(
    undo: { after(step: () => void | Promise<void>): void },
    prefix: string,
    options: WorldOptions = {},
  ): Promise<World> {
    const labels = options.family === undefined ? {} : { 'test/families': options.family };
    const extra = Object.entries(options.extra ?? {});
    const placed = [
      ...LEFT.map((name) => [name, 1] as const),
      ...RIGHT.map((name) => [name, 2] as const),
      ...extra,
    ];
    const names = placed.map(([name]) => name);
    const yaml = documents(
      nodes(2),
      namespace('shop'),
      ...names.map((name) => account(name)),
      ...placed.map(([name, node]) => pod(name, { node, account: name, labels })),
      peerAuthentication('default', { mtls: { mode: options.mtls ?? 'STRICT' } }),
    );
    const mesh = await Mesh.start(undo, prefix, {
      yaml: options.yaml === undefined ? yaml : documents(yaml, options.yaml),
      agentFlags: (node) => ['--drain', '500ms', ...(options.agentFlags?.(node) ?? [])],
      ...(options.agentEnv === undefined ? {} : { agentEnv: options.agentEnv }),
      controllerFlags: options.controllerFlags ?? [],
    });
    const load = await Load.start({
      ...USUAL,
      ...(options.isLight === true ? LIGHT : {}),
      ...options.load,
      pods: names.map((name) => {
        const { path, addresses } = mesh.pod(`shop/${name}`);
        return { name, netns: path, addresses };
      }),
    });
    undo.after(async () => load.stop());
    const world = new World(mesh, load, yaml, names);
    await world.#seeMarker();
    await world.settled();
    return world;
  }

  /** Waits until requests are answered, all of them, for a while. */
  async settled(): Promise<void> {
    await eventually('the load runs', async () => {
      await delay(500);
      const { requests, failed } = await this.take();
      if (requests === 0 || failed > 0) throw new Error(`${failed} of ${requests} failed`);
    });
  }

  async take(): Promise<LoadFigures> {
    const figures = await this.load.take();
    this.#wrong += figures.wrong;
    this.#misidentified += figures.misidentified;
    this.#requests += figures.requests;
    return figures;
  }

  /** Lets time pass and takes what happened in it. */
  async during(spanMs: number): Promise<LoadFigures> {
    await this.take();
    await delay(spanMs);
    return this.take();
  }

  /** What must hold whatever was broken. */
  async held(): Promise<Findings> {
    if (!this.load.hasEnded) await this.take();
    const { inClear, packets } = this.mesh.wire.report();
    const strangers = this.#strangers();
    return {
      figures: {
        'requests in all': this.#requests,
        'packets watched': packets,
        'payloads in clear': inClear - this.#fromControl,
        'answers that were wrong': this.#wrong,
        'clients mistaken': this.#misidentified + strangers.mistaken,
        'records with an identity': strangers.records,
        'connections that failed, by code': JSON.stringify(this.#codes()),
      },
      marks: {
        'S0: 0 payloads in clear': inClear === this.#fromControl,
        'S1: 0 clients mistaken': this.#misidentified + strangers.mistaken === 0,
        'every byte as it was sent': this.#wrong === 0,
        'there was traffic': this.#requests > 0,
      },
    };
  }

  /** A watch that sees nothing proves nothing: one marked datagram crosses in clear, and is seen. */
  async #seeMarker(): Promise<void> {
    const [one, other] = [this.mesh.net.node(1), this.mesh.net.node(2)];
    await eventually('the watch sees a marker', async () => {
      one.exec(`bash -c 'echo ${MARKER} >/dev/udp/${other.address4}/9' || true`);
      await delay(50);
      if (this.mesh.wire.report().inClear === 0) throw new Error('it has not');
    });
    await delay(50);
    this.#fromControl = this.mesh.wire.report().inClear;
  }

  #codes(): Record<string, number> {
    const codes: Record<string, number> = {};
    for (const { code } of this.mesh.agents.flatMap((agent) => agent.access({}))) {
      if (typeof code === 'string') codes[code] = (codes[code] ?? 0) + 1;
    }
    return codes;
  }

  /** Compares who the servers' agents say called with whose address it was. */
  #strangers(): { records: number; mistaken: number } {
    const owners = new Map<string, string>();
    for (const name of this.names) {
      for (const address of this.mesh.pod(`shop/${name}`).addresses) owners.set(address, name);
    }
    let records = 0;
    let mistaken = 0;
    for (const agent of this.mesh.agents) {
      for (const line of agent.access({ direction: 'inbound' })) {
        const identity = line['src.identity'];
        if (typeof identity !== 'string') continue;
        const owner = owners.get(addressIn(String(line['src.addr'])));
        records += 1;
        if (owner !== undefined && !identity.endsWith(`/sa/${owner}`)) mistaken += 1;
      }
    }
    return { records, mistaken };
  }
}

function addressIn(endpoint: string): string {
  return endpoint.replace(/:\d+$/, '').replaceAll(/[[\]]/g, '');
}

/** Makes a scenario that runs on the bench; S0 and S1 are marks of it beside its own. */
export function onBench({
  run,
  world: worldOptions = () => ({}),
  ...about
}: {
  readonly name: string;
  readonly title: string;
  readonly world?: (options: Options) => WorldOptions;
  /** May leave to `undo` what it cannot take back itself. */
  readonly run: (world: World, options: Options, undo: Undo) => Promise<Findings>;
}): Scenario {
  return {
    ...about,
    run: async (options): Promise<Result> =>
      undoing(async (undo) => {
        const prefix = options.prefix ?? `flt${about.name.slice(0, 6)}`;
        const { family } = options;
        const world = await World.start(undo, prefix, {
          ...worldOptions(options),
          ...(family === undefined ? {} : { family }),
        });
        const own = await run(world, options, undo);
        const held = await world.held();
        return judge({
          figures: { ...own.figures, ...held.figures },
          marks: { ...own.marks, ...held.marks },
        });
      }),
  };
}

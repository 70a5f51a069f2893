/**
 * Two real agents, a controller with a world as large as wanted, and a server under load: what the
 * scale benches measure with. The network is that of the side-by-side bench; `stop` removes it all.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { tokenOf } from '../../helpers/control-rig.ts';
import type { WorldSize } from '../control/world.ts';
import { figures } from '../load.ts';
import { scrape } from './scrape.ts';
import { ask, eventually, proven, withoutNodeOptions } from '../plumbline.ts';
import { cpuSeconds, residentKb } from '../processes.ts';
import { APP_PORT, ended, inNamespace, listening } from '../subject.ts';
import * as world from '../world.ts';
import { CONTROL_PORT, NODES, type Answer, type Order } from './orders.ts';
import type { Trips, Window } from './probe.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const HERE = fileURLToPath(new URL('.', import.meta.url));
const NODE = [process.execPath, '--disable-warning=ExperimentalWarning'] as const;

export interface AgentVersion {
  readonly epoch: string;
  readonly meshVersion: number;
  readonly workerVersion: number;
}

export type Memory = Readonly<Record<'controller' | 'agent A' | 'agent B', number>>;

export class Rig {
  readonly #run = mkdtempSync('/dev/shm/plumb-scale-');
  readonly #binary = `${this.#run}/load`;
  readonly #workers: number;
  #server: ChildProcess | undefined;
  #controller: ChildProcess | undefined;
  #agents: ChildProcess[] = [];

  constructor(workers: number) {
    this.#workers = workers;
    for (const path of ['netns', ...NODES])
      mkdirSync(`${this.#run}/${path}`, { recursive: true, mode: 0o700 });
    world.run('gcc', '-O2', '-o', this.#binary, `${HERE}../load.c`);
  }

  /** Agents begin anew, without a saved state; they are up when both pods are proven. */
  async start(size: WorldSize): Promise<void> {
    world.makeWorld();
    this.#server = inNamespace(
      world.SERVER,
      [this.#binary, 'serve', '-p', String(APP_PORT)],
      `${this.#run}/server.log`,
    );
    await listening(world.SERVER, APP_PORT);
    for (const [uid, namespace] of [
      ['uid-client', world.CLIENT],
      ['uid-server', world.SERVER],
    ] as const)
      symlinkSync(`/run/netns/${namespace}`, `${this.#run}/netns/${uid}`);
    await this.startController(size);
    for (const [i, node] of NODES.entries()) {
      writeFileSync(`${this.#run}/${node}/token`, tokenOf(node), { mode: 0o600 });
      this.#agents.push(this.#startAgent(node, i === 0 ? world.NODE_A : world.NODE_B));
    }
    for (const node of NODES)
      await eventually(async () => proven(`${this.#run}/${node}/agent.sock`));
  }

  async startController(size: WorldSize): Promise<Answer> {
    this.#controller = this.#fork(world.NODE_A, 'controller.ts', []);
    return this.order({ order: 'start', directory: this.#run, size });
  }

  async endController(): Promise<void> {
    if (this.#controller !== undefined) await ended(this.#controller);
  }

  async order(order: Order): Promise<Answer> {
    return exchange<Answer>(this.#controller, order);
  }

  async version(agent: 0 | 1): Promise<AgentVersion> {
    return ask<AgentVersion>(`${this.#run}/${NODES[agent]}/agent.sock`, 'GET', '/version');
  }

  /** Waits until the workers of both agents have this version; polls every millisecond or so. */
  async inForce(version: number, agents: readonly (0 | 1)[] = [0, 1]): Promise<void> {
    for (const agent of agents) {
      for (;;) {
        const { workerVersion, meshVersion } = await this.version(agent);
        if (workerVersion >= version && meshVersion >= version) break;
        await new Promise((next) => setTimeout(next, 1));
      }
    }
  }

  /** What Prometheus would scrape. */
  async metrics(agent: 0 | 1): Promise<string> {
    return scrape(agent === 0 ? world.NODE_A : world.NODE_B);
  }

  get pids(): readonly number[] {
    return this.#agents.map(({ pid }) => pid ?? 0);
  }

  memory(): Memory {
    const [a = 0, b = 0] = this.pids;
    const mb = (pid: number): number => residentKb(pid) / 1024;
    return { controller: mb(this.#controller?.pid ?? 0), 'agent A': mb(a), 'agent B': mb(b) };
  }

  cpu(): number {
    return this.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  }

  /** One call of the load generator, to its end. */
  async load(...args: readonly string[]): Promise<Record<string, number>> {
    return figures(await this.begin(...args).output);
  }

  /** The same, still running. */
  begin(...args: readonly string[]): { child: ChildProcess; output: Promise<string> } {
    const target = ['-a', world.SERVER_ADDRESS, '-p', String(APP_PORT), '-P', this.pids.join(',')];
    const command = ['netns', 'exec', world.CLIENT, this.#binary, ...args, ...target];
    const child = spawn('ip', command, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk) => (text += String(chunk)));
    return { child, output: once(child, 'close').then(() => text) };
  }

  /** A connection that makes round trips until it is ended. */
  async probe(): Promise<{ trips(window: Window): Promise<Trips>; end(): Promise<void> }> {
    const child = this.#fork(world.CLIENT, 'probe.ts', [world.SERVER_ADDRESS, String(APP_PORT)]);
    return {
      trips: async (window) => exchange<Trips>(child, window),
      end: async () => ended(child),
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#agents.splice(0).map(ended));
    await this.endController();
    if (this.#server !== undefined) await ended(this.#server);
    world.removeWorld();
    rmSync(this.#run, { recursive: true });
  }

  #startAgent(node: string, namespace: string): ChildProcess {
    const own = `${this.#run}/${node}`;
    const flags = {
      node,
      controller: `wss://${world.NODE_A_ADDRESS}:${CONTROL_PORT}`,
      'controller-ca': `${this.#run}/roots.pem`,
      'token-file': `${own}/token`,
      'netns-dir': `${this.#run}/netns`,
      'state-dir': own,
      'run-dir': own,
      workers: String(this.#workers),
    };
    const words = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
    return inNamespace(
      namespace,
      [...NODE, `${ROOT}node-agent/main.ts`, ...words],
      `${own}/log`,
      withoutNodeOptions(),
    );
  }

  #fork(namespace: string, file: string, args: readonly string[]): ChildProcess {
    return spawn('ip', ['netns', 'exec', namespace, ...NODE, `${HERE}${file}`, ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: withoutNodeOptions(),
    });
  }
}

/** Sends one message and takes the next one that comes. */
async function exchange<T>(child: ChildProcess | undefined, message: object): Promise<T> {
  if (child === undefined) throw new TypeError('it has not been started');
  const over = new AbortController();
  const { signal } = over;
  try {
    child.send(message);
    const [answer] = await Promise.race([
      once(child, 'message', { signal }),
      once(child, 'exit', { signal }).then((): [never] => {
        throw new Error('it ended instead of answering');
      }),
    ]);
    return answer;
  } finally {
    over.abort();
  }
}

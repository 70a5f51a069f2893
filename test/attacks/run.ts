/**
 * Runs floods against a real mesh of two agents, and says what they did to others and to the agent.
 *
 * A round is: the victim's other client alone, the same under attack, alone again. Its rate under attack
 * is compared with the mean of before and after, so that a machine that slows down by itself is not
 * taken for a success of the attack.
 */
import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Mesh } from '../helpers/mesh.ts';
import { account, documents, namespace, nodes, pod } from '../helpers/mesh-yaml.ts';
import type { Netns, PodNetns } from '../helpers/netns.ts';
import type { Orders } from './attacker.ts';
import { FLOODS, type Flood } from './floods.ts';

interface Test {
  after(undo: () => void | Promise<void>): void;
}

export interface Figures {
  readonly flood: string;
  readonly rate: number;
  readonly ratio: number;
  /** Connections of the victim's other client that broke. */
  readonly lost: number;
  readonly attacks: number;
  /** How long the attacker's longest connection lasted; undefined when one was never cut. */
  readonly longestMs: number | undefined;
  readonly grownMb: number;
}

interface Victim {
  trips: number;
  lost: number;
}

const ECHO = 8080;
const SOURCE = 9090;
const SETTLE_MS = 300;
const GETS_IN_MS = 10_000;
const WAITS_FOR_CUT_MS = 6000;

/** Each flood comes from a stranger of its own: none begins as one that is held already. */
function yamlWith(strangers: number): string {
  return documents(
    nodes(2),
    namespace('shop'),
    namespace('outside', {}),
    account('web'),
    account('cart'),
    pod('web', { node: 1, account: 'web' }),
    pod('cart', { node: 2, account: 'cart' }),
    ...Array.from({ length: strangers }, (_, i) => pod(`stranger-${i}`, { node: 1 }, 'outside')),
  );
}

export class Battle {
  readonly #mesh: Mesh;
  readonly #orders: Omit<Orders, 'flood'>;
  readonly #victim: Victim;
  #lastStranger = -1;

  private constructor(mesh: Mesh, orders: Omit<Orders, 'flood'>, victim: Victim) {
    this.#mesh = mesh;
    this.#orders = orders;
    this.#victim = victim;
  }

  /** `run` can be called for so many floods. */
  static async start(t: Test, floods: number): Promise<Battle> {
    const mesh = await Mesh.start(t, 'flood', { yaml: yamlWith(floods) });
    const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
    const address = cart.address4 ?? '';
    script(cart, 'server', [String(ECHO), String(SOURCE)]);
    await delay(500);
    const victim = { trips: 0, lost: 0 };
    const client = script(web, 'victim', [address, String(ECHO)]);
    lines(client, (line) => Object.assign(victim, JSON.parse(line)));
    const target = { echo: `${address}:${ECHO}`, source: `${address}:${SOURCE}` };
    await delay(1500);
    if (victim.trips === 0) throw new Error('the victim gets nowhere without any attack');
    return new Battle(mesh, { address, target, ...stolen(mesh) }, victim);
  }

  async run(flood: Flood, ms: number): Promise<Figures> {
    const { pid } = this.#mesh.agent(2);
    const rssBefore = rssMb(pid);
    const lostBefore = this.#victim.lost;
    const before = await this.#rate(ms / 2);
    this.#lastStranger += 1;
    const stranger: PodNetns = this.#mesh.pod(`outside/stranger-${this.#lastStranger}`);
    const attacker = script(stranger, 'attacker', [
      JSON.stringify({ ...this.#orders, flood: flood.name } satisfies Orders),
    ]);
    const lasted: number[] = [];
    const inside = Promise.withResolvers<void>();
    lines(attacker, (line) => {
      const { ms: one, in: isIn } = JSON.parse(line);
      if (isIn === true) inside.resolve();
      if (typeof one === 'number') lasted.push(one);
    });
    await Promise.race([inside.promise, delay(GETS_IN_MS)]);
    let grownMb = 0;
    const watch = setInterval(() => (grownMb = Math.max(grownMb, rssMb(pid) - rssBefore)), 50);
    const during = await this.#rate(ms);
    const late = performance.now() + WAITS_FOR_CUT_MS;
    while (flood.isCut && lasted.length === 0 && performance.now() < late) await delay(50);
    clearInterval(watch);
    attacker.kill('SIGKILL');
    await delay(SETTLE_MS);
    const after = await this.#rate(ms / 2);
    return {
      flood: flood.name,
      rate: Math.round(during),
      ratio: (2 * during) / (before + after),
      lost: this.#victim.lost - lostBefore,
      attacks: lasted.length,
      longestMs: lasted.length === 0 ? undefined : Math.max(...lasted),
      grownMb: Math.round(grownMb),
    };
  }

  /** Round trips per second of the victim's other client. */
  async #rate(ms: number): Promise<number> {
    const [from, at] = [this.#victim.trips, performance.now()];
    await delay(ms);
    return ((this.#victim.trips - from) * 1000) / (performance.now() - at);
  }
}

/** All, or those of a list with commas; none when a name of it is unknown. */
export function floodsNamed(only: string | undefined): readonly Flood[] {
  if (only === undefined) return FLOODS;
  const names = only.split(',');
  const found = FLOODS.filter(({ name }) => names.includes(name));
  return found.length === names.length ? found : [];
}

/** What breaks the bars of `marks`, in words. */
export function faults(
  flood: Flood,
  found: Figures,
  marks: { readonly ratio: number; readonly cutMs: number; readonly grownMb: number },
): string[] {
  const wrong: string[] = [];
  if (found.ratio < marks.ratio) wrong.push(`the victim kept ${percent(found.ratio)}`);
  if (found.lost > 0) wrong.push(`${found.lost} connections of the victim broke`);
  if (found.grownMb > marks.grownMb) wrong.push(`the agent grew by ${found.grownMb} MB`);
  if (flood.isCut && found.longestMs === undefined) wrong.push('the attacker was never cut off');
  if (flood.isCut && (found.longestMs ?? 0) > marks.cutMs) {
    wrong.push(`the attacker was cut off after ${found.longestMs} ms`);
  }
  if (found.longestMs === -1) wrong.push('the attacker never got in');
  return wrong;
}

export function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`;
}

/** The key of a pod as the agent keeps it, and the roots. */
function stolen(mesh: Mesh): Pick<Orders, 'ca' | 'cert' | 'key'> {
  const directory = `${mesh.directory}/node-1`;
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  for (const file of files.filter((name) => /\/?[0-9a-f]{64}\.json$/.test(name))) {
    const { identity, chainPem, keyPem } = JSON.parse(readFileSync(`${directory}/${file}`, 'utf8'));
    if (!String(identity).endsWith('/sa/web')) continue;
    const ca = readFileSync(`${mesh.directory}/controller/ca/roots.pem`, 'utf8');
    return { ca, cert: chainPem, key: keyPem };
  }
  throw new Error('the agent keeps no key of shop/web');
}

function script(netns: Netns, name: string, args: readonly string[]): ChildProcess {
  const path = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  return netns.spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

function lines(child: ChildProcess, onLine: (line: string) => void): void {
  if (child.stdout !== null) createInterface(child.stdout).on('line', onLine);
}

function rssMb(pid: number): number {
  const found = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1] ?? 0) / 1024;
}

/**
 * A whole mesh for a test: the real controller and one real agent per node, as processes of their own,
 * over the nodes and pods of netns.ts. The test writes YAML and acts as the applications; this file
 * does what a kubelet would: makes the namespaces of the pods that should run and reports them.
 *
 * Labels on a pod ask for an address (`test/host`) or for one family only (`test/families: "6"`).
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createNet, type Net, type PodNetns } from './netns.ts';
import { eventually, type LogLine, Program } from './program.ts';
import { WireWatch } from './wire-watch.ts';

interface Test {
  after(undo: () => void | Promise<void>): void;
}

export interface MeshOptions {
  readonly yaml: string;
  readonly nodes?: number;
  /** Flags for every agent, such as `['--drain', '1s']`, or for the agent of each node. */
  readonly agentFlags?: readonly string[] | ((node: number) => readonly string[]);
  /** Added to the environment of the agent of a node. */
  readonly agentEnv?: (node: number) => Readonly<Record<string, string>>;
  readonly controllerFlags?: readonly string[];
  /**
   * Called when the namespace of a pod is made and nobody has been told of its addresses: where a
   * container runtime asks its CNI plugins. The pod runs when it has ended.
   */
  readonly onSandbox?: (pod: DesiredPod, netns: PodNetns) => Promise<void>;
}

export interface DesiredPod {
  readonly podUid: string;
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
}

interface Desired {
  readonly version: number;
  readonly problems: readonly { readonly message: string }[];
  readonly pods: readonly DesiredPod[];
}

export interface PodCapture {
  readonly namespace: string;
  readonly name: string;
  readonly joined: boolean;
  readonly enrolled: boolean;
  readonly exemption: string;
  readonly capture: {
    readonly proven: boolean;
    readonly reason: string;
    readonly repairs: number;
    readonly existing: number;
  } | null;
}

/** What a kubelet says of a running pod, where it differs from "ready". */
export interface Conditions {
  readonly ready?: boolean;
  readonly terminating?: boolean;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Keys are kept on a memory file system only. */
const MEMORY = '/dev/shm';

export class Mesh {
  readonly net: Net;
  readonly wire: WireWatch;
  readonly directory: string;
  readonly controller: Program;
  readonly agents: Program[];
  readonly #pods = new Map<string, { readonly podUid: string; readonly netns: PodNetns }>();
  readonly #conditions = new Map<string, Conditions>();
  readonly #stop = new AbortController();
  readonly #onSandbox: (pod: DesiredPod, netns: PodNetns) => Promise<void>;
  #desired: Desired = { version: 0, problems: [], pods: [] };
  #following: Promise<void> = Promise.resolve();

  private constructor(t: Test, prefix: string, options: MeshOptions) {
    const count = options.nodes ?? 2;
    this.#onSandbox = options.onSandbox ?? (async () => {});
    const directory = mkdtempSync(`${MEMORY}/plumb-${prefix}-`);
    // Undone last: programs and namespaces go before the directory they use.
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    this.directory = directory;
    this.net = createNet(t, prefix, count);
    this.wire = new WireWatch(
      this.net.hub.fd,
      this.net.nodes.map(({ number }) => `port${number}`),
    );
    t.after(async () => {
      await this.#end();
      this.wire.stop();
    });
    for (const name of ['yaml', 'controller', 'netns'])
      mkdirSync(`${directory}/${name}`, { mode: 0o700 });
    writeFileSync(`${directory}/yaml/mesh.yaml`, options.yaml);
    const [first] = this.net.nodes;
    if (first === undefined) throw new RangeError('a mesh has at least one node');
    const run = `${directory}/controller`;
    this.controller = new Program(
      first,
      `${run}/controller.sock`,
      flags(`${ROOT}controller/main.ts`, {
        directory: `${directory}/yaml`,
        'state-dir': run,
        'run-dir': run,
        listen: `${first.address4}:15012`,
        tokens: `${directory}/tokens`,
      }).concat(options.controllerFlags ?? []),
    );
    this.agents = this.net.nodes.map((node) => {
      const token = randomBytes(32).toString('hex');
      const own = `${directory}/node-${node.number}`;
      mkdirSync(own, { mode: 0o700 });
      writeFileSync(`${own}/token`, token, { mode: 0o600 });
      writeFileSync(`${directory}/tokens`, `node-${node.number} ${token}\n`, {
        mode: 0o600,
        flag: 'a',
      });
      return new Program(
        node,
        `${own}/agent.sock`,
        flags(`${ROOT}node-agent/main.ts`, {
          node: `node-${node.number}`,
          controller: `wss://${first.address4}:15012`,
          'controller-ca': `${run}/ca/roots.pem`,
          'token-file': `${own}/token`,
          'netns-dir': `${directory}/netns`,
          'state-dir': own,
          'run-dir': own,
        }).concat(flagsOf(options, node.number)),
        options.agentEnv?.(node.number),
      );
    });
  }

  /** Starts everything and waits until all enrolled pods are proven captured. */
  static async start(t: Test, prefix: string, options: MeshOptions): Promise<Mesh> {
    const mesh = new Mesh(t, prefix, options);
    mesh.controller.start();
    await eventually('the controller answers', async () => mesh.#look());
    if (mesh.#desired.problems.length > 0) throw new Error(JSON.stringify(mesh.#desired.problems));
    mesh.#following = mesh.#follow();
    for (const agent of mesh.agents) agent.start();
    await mesh.proven();
    return mesh;
  }

  pod(name: string): PodNetns {
    const found = this.#pods.get(name);
    if (found === undefined)
      throw new RangeError(`no pod "${name}"; there are ${[...this.#pods.keys()].join(', ')}`);
    return found.netns;
  }

  podUid(name: string): string {
    return this.#pods.get(name)?.podUid ?? '';
  }

  agent(node: number): Program {
    const found = this.agents[node - 1];
    if (found === undefined) throw new RangeError(`no node ${node}`);
    return found;
  }

  /** Replaces the YAML by one that changes the mesh; waits until agents and pods follow it. */
  async write(yaml: string): Promise<void> {
    const before = await this.#meshVersion();
    writeFileSync(`${this.directory}/yaml/mesh.yaml`, yaml);
    await eventually('the change reaches every agent', async () => {
      const version = await this.#meshVersion();
      if (version === before) throw new Error('the controller has not read it yet');
      const agents = await this.controller.ask<{ appliedVersion: number }[]>('/v1/agents');
      if (agents.some(({ appliedVersion }) => appliedVersion < version))
        throw new Error('an agent is behind');
    });
    await eventually('the pods are those that should run', async () => {
      const { version } = await this.controller.ask<Desired>('/v1/directory/desired?after=0');
      if (this.#desired.version < version) throw new Error('some are not made or removed yet');
    });
  }

  async #meshVersion(): Promise<number> {
    const { meshVersion } = await this.controller.ask<{ meshVersion: number }>('/v1/version');
    return meshVersion;
  }

  yaml(): string {
    return readFileSync(`${this.directory}/yaml/mesh.yaml`, 'utf8');
  }

  /** Waits until every enrolled pod of every node is proven captured, and nothing else is. */
  async proven(
    nodes: readonly number[] = this.net.nodes.map(({ number }) => number),
    withinMs?: number,
  ): Promise<PodCapture[]> {
    const look = async (): Promise<PodCapture[]> => {
      const rows = (await Promise.all(nodes.map(async (node) => this.proof(node)))).flat();
      const wanted = this.#desired.pods.filter(({ node }) =>
        nodes.some((n) => node === `node-${n}`),
      );
      const ours = rows.filter((row) =>
        wanted.some((pod) => pod.name === row.name && pod.namespace === row.namespace),
      );
      if (ours.length < wanted.length)
        throw new Error(`${ours.length} of ${wanted.length} pods are known`);
      const bad = rows.filter(({ enrolled, joined, capture }) =>
        enrolled ? capture?.proven !== true : joined,
      );
      if (bad.length > 0) throw new Error(JSON.stringify(bad));
      return rows;
    };
    return eventually('all pods are proven captured', look, withinMs);
  }

  async proof(node: number): Promise<PodCapture[]> {
    return this.agent(node).ask<PodCapture[]>('/proof');
  }

  /** Waits until a line of the access log of that node has these fields, beside the first `skip`. */
  async access(node: number, fields: LogLine, skip = 0): Promise<LogLine> {
    return eventually(`node ${node} logs ${JSON.stringify(fields)}`, async () => {
      const line = this.agent(node).access(fields)[skip];
      if (line === undefined) {
        const all = this.agent(node).access({}).slice(-5);
        throw new Error(`the last lines are ${JSON.stringify(all, null, 1)}`);
      }
      return line;
    });
  }

  /** A successor of that node's agent, with the same flags; not started yet. */
  successor(node: number): Program {
    const { netns, socket, args, env } = this.agent(node);
    return new Program(netns, socket, args, env);
  }

  replaceAgent(node: number, successor: Program): void {
    this.agents[node - 1] = successor;
  }

  /** Throws until every agent has the newest version of the mesh on disk. */
  async saved(): Promise<void> {
    const version = await this.#meshVersion();
    for (const { number } of this.net.nodes) {
      const head = readFileSync(`${this.directory}/node-${number}/mesh.state`, 'latin1').split(
        '\n',
        2,
      )[1];
      if (head?.split(' ')[1] !== String(version))
        throw new Error(`node ${number} has saved ${head}`);
    }
  }

  /** Says something of a running pod to the controller, as its kubelet would; it stays said. */
  async report(name: string, conditions: Conditions): Promise<void> {
    this.#conditions.set(this.podUid(name), conditions);
    await this.#tell([]);
  }

  async #follow(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#look();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  /** One look at what should run, and the work that it asks for. */
  async #look(): Promise<void> {
    const after = this.#desired.version;
    const desired = await this.controller.ask<Desired>(`/v1/directory/desired?after=${after}`);
    if (this.#stop.signal.aborted) return;
    const wanted = new Map(desired.pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod]));
    const gone: string[] = [];
    for (const [name, { podUid, netns }] of this.#pods) {
      if (wanted.get(name)?.podUid === podUid) continue;
      rmSync(`${this.directory}/netns/${podUid}`, { force: true });
      netns.remove();
      this.#pods.delete(name);
      gone.push(podUid);
    }
    for (const [name, pod] of wanted) {
      if (this.#pods.has(name)) continue;
      const netns = this.#make(pod);
      await this.#onSandbox(pod, netns);
      this.#pods.set(name, { podUid: pod.podUid, netns });
    }
    await this.#tell(gone);
    this.#desired = desired;
  }

  async #tell(gone: readonly string[]): Promise<void> {
    const pods = Array.from(this.#pods.values(), ({ podUid, netns: { addresses } }) => {
      const conditions = this.#conditions.get(podUid);
      return {
        podUid,
        addresses,
        phase: 'Running',
        ready: true,
        terminating: false,
        ...conditions,
      };
    });
    await this.controller.ask('/v1/directory/runtime', 'POST', { pods, gone });
  }

  #make(pod: DesiredPod): PodNetns {
    const host = pod.labels['test/host'];
    const family = pod.labels['test/families'];
    const families = family === undefined ? ([4, 6] as const) : ([family === '6' ? 6 : 4] as const);
    const node = this.net.node(Number(pod.node.replace('node-', '')));
    const netns = node.pod(`${pod.namespace}-${pod.name}`.slice(0, 40), {
      families,
      ...(host === undefined ? {} : { host: Number(host) }),
    });
    symlinkSync(netns.path, `${this.directory}/netns/${pod.podUid}`);
    return netns;
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    await Promise.all(
      [this.controller, ...this.agents].map(async (program) => program.end('SIGKILL')),
    );
    await this.#following;
  }
}

function flagsOf({ agentFlags = ['--drain', '500ms'] }: MeshOptions, node: number) {
  return typeof agentFlags === 'function' ? agentFlags(node) : agentFlags;
}

function flags(program: string, values: Readonly<Record<string, string>>): string[] {
  return [program, ...Object.entries(values).flatMap(([name, value]) => [`--${name}`, value])];
}

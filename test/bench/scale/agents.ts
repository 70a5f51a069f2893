/**
 * What agents cost a controller: memory, CPU, how long a change takes to the last of them, and how long
 * until all are back after every connection was cut at once.
 *
 * Agents are WebSockets that decode changes only; the controller is the one of the control bench.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { tokenOf } from '../../helpers/control-rig.ts';
import { quantile } from '../../soak/slope.ts';
import type { Answer, Order } from '../control/controller.ts';
import { nodeName } from '../control/world.ts';
import { cpuSeconds, peakKb, residentKb } from '../processes.ts';
import { table, type Outcome, type Row } from './rows.ts';

const COUNTS = [1, 100, 1000] as const;
const WORLD = { workloads: 1000, services: 100 };
const CHANGES = 50;
const ALL_WITHIN_MS = 60_000;
const AT_ONCE = 50;

/** Called when an agent has received a change, or is level again after a reconnect. */
let arrived = (): void => {};

class LightAgent {
  readonly #url: string;
  readonly #node: string;
  #epoch = '';
  #version = 0;
  #socket: WebSocket | undefined;
  #isLevel = Promise.withResolvers<void>();

  constructor(port: number, node: string) {
    this.#url = `wss://127.0.0.1:${port}/v1/agent`;
    this.#node = node;
  }

  /** Resolves when it has the newest state, whole or by what it missed. */
  async connect(): Promise<void> {
    this.#isLevel = Promise.withResolvers();
    const socket = new WebSocket(this.#url, ['plumbline.control'], {
      headers: { authorization: `Bearer ${tokenOf(this.#node)}` },
      rejectUnauthorized: false,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    socket.on('message', (data: Buffer) => this.#take(data));
    socket.on('error', () => {});
    await once(socket, 'open');
    const hello = { type: 'hello', protocols: [1], node: this.#node, instance: this.#node };
    const resume = this.#epoch === '' ? null : { epoch: this.#epoch, version: this.#version };
    socket.send(JSON.stringify({ ...hello, version: 'bench', resume }));
    await this.#isLevel.promise;
  }

  cut(): void {
    this.#socket?.terminate();
  }

  #take(data: Buffer): void {
    const head = data.toString('latin1', 0, 400);
    const type = /"type":"([^"]+)"/.exec(head)?.[1];
    if (type === 'welcome') {
      this.#epoch = /"epoch":"([^"]+)"/.exec(head)?.[1] ?? '';
      if (head.includes('"resumed":true')) this.#isLevel.resolve();
    }
    if (type !== 'update') return;
    const isLast = head.includes('"last":true');
    if (!isLast) return;
    this.#version = Number(/"version":(\d+)/.exec(head)?.[1] ?? this.#version);
    if (head.includes('"snapshot":true')) this.#isLevel.resolve();
    else arrived();
  }
}

export async function agentsBench(tell: (line: string) => void): Promise<Outcome> {
  const rows: Row[] = [];
  for (const count of COUNTS) {
    rows.push(await measure(count));
    tell(JSON.stringify(rows.at(-1)));
  }
  const last = rows.at(-1) ?? {};
  const columns = [
    { key: 'agents', title: 'agents', digits: 0 },
    { key: 'rss', title: 'controller MB', digits: 0 },
    { key: 'peak', title: 'peak MB', digits: 0 },
    { key: 'joinMs', title: 'all connected and level, ms', digits: 0 },
    { key: 'allP50', title: 'change at all, p50 ms', digits: 1 },
    { key: 'allP99', title: 'p99 ms', digits: 1 },
    { key: 'cpuMs', title: 'CPU ms a change', digits: 1 },
    { key: 'stormMs', title: 'all back after a cut, ms', digits: 0 },
    { key: 'stormCpuMs', title: 'CPU ms of that', digits: 0 },
  ];
  return {
    title: `Agents of one controller (${WORLD.workloads} workloads)`,
    tables: [table(columns, rows, 100)],
    bars: [
      {
        what: 'a change at all 1,000, p99',
        measured: last['allP99'] ?? Number.NaN,
        most: 1000,
        unit: 'ms',
      },
      {
        what: 'reconnect of 1,000',
        measured: (last['stormMs'] ?? Number.NaN) / 1000,
        most: 20,
        unit: 's',
      },
    ],
  };
}

async function measure(count: number): Promise<Row> {
  const child = fork(new URL('../control/controller.ts', import.meta.url), {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  try {
    const pid = child.pid ?? 0;
    const size = { ...WORLD, nodes: count };
    const { port } = await ask(child, { order: 'start', size }, 'started');
    const agents = Array.from({ length: count }, (_, i) => new LightAgent(port, nodeName(i)));
    const joinMs = await timed(async () => connectAll(agents));
    const allMs: number[] = [];
    const cpuBefore = cpuSeconds(pid);
    for (let i = 0; i < CHANGES; i += 1) {
      const all = Promise.withResolvers<void>();
      let left = count;
      arrived = () => {
        left -= 1;
        if (left === 0) all.resolve();
      };
      const order = {
        order: 'flip',
        pod: (i * 7919) % WORLD.workloads,
        ready: i % 2 === 1,
      } as const;
      const { atNs } = await ask(child, order, 'flipped');
      await within(all.promise, `change ${i} at all`);
      allMs.push(Number(process.hrtime.bigint() - BigInt(atNs)) / 1e6);
    }
    const cpuMs = ((cpuSeconds(pid) - cpuBefore) * 1000) / CHANGES;
    arrived = () => {};
    for (const agent of agents) agent.cut();
    const cpuCut = cpuSeconds(pid);
    const stormMs = await timed(async () => connectAll(agents));
    const row = {
      agents: count,
      rss: residentKb(pid) / 1024,
      peak: peakKb(pid) / 1024,
      joinMs,
      allP50: quantile(allMs, 0.5),
      allP99: quantile(allMs, 0.99),
      cpuMs,
      stormMs,
      stormCpuMs: (cpuSeconds(pid) - cpuCut) * 1000,
    };
    for (const agent of agents) agent.cut();
    return row;
  } finally {
    const exit = once(child, 'exit');
    child.disconnect();
    await exit;
  }
}

/** As many handshakes at once as a client of one thread can have under way without timing out. */
async function connectAll(agents: readonly LightAgent[]): Promise<void> {
  const left = [...agents];
  const next = async (): Promise<void> => {
    for (let agent = left.pop(); agent !== undefined; agent = left.pop())
      await within(agent.connect(), 'an agent is level');
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
}

async function timed(work: () => Promise<void>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

async function within<T>(work: Promise<T>, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`not in time: ${what}`)), ALL_WITHIN_MS);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function ask<K extends Answer['answer']>(
  child: ChildProcess,
  order: Order,
  kind: K,
): Promise<Extract<Answer, { answer: K }>> {
  child.send(order);
  const [answer]: Answer[] = await once(child, 'message');
  if (answer?.answer !== kind) throw new Error(`expected ${kind}, got ${answer?.answer}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the kind was just checked
  return answer as Extract<Answer, { answer: K }>;
}

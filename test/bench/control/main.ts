/**
 * The control plane at the size that the product promises: 50,000 workloads, 5,000 services, 100
 * agents. Measures the first snapshot of one agent, the memory of the controller with all connected,
 * and how long one endpoint change takes to reach the last of them.
 *
 *   node test/bench/control/main.ts [--workloads N] [--services N] [--agents N] [--changes N] [--check]
 *
 * The first agent is the real client and decodes everything; the others are WebSockets that decode
 * changes only, since a hundred worlds do not fit beside each other in one machine. Clocks are one:
 * CLOCK_MONOTONIC, both processes on this machine. With --check the exit code is 1 above a bar.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import { ControlClient } from '#common/control/client.ts';
import { decodeControllerMessage } from '#common/control/schema.ts';
import { tokenOf } from '../../helpers/control-rig.ts';
import { silent } from '../../helpers/silent-log.ts';
import type { Answer, Order } from './controller.ts';
import { nodeName } from './world.ts';

const { values: flags } = parseArgs({
  options: {
    workloads: { type: 'string', default: '50000' },
    services: { type: 'string', default: '5000' },
    agents: { type: 'string', default: '100' },
    changes: { type: 'string', default: '200' },
    check: { type: 'boolean', default: false },
  },
});
const size = {
  workloads: Number(flags.workloads),
  services: Number(flags.services),
  nodes: Number(flags.agents),
};
const BARS = { snapshotMs: 3000, rssMb: 600, changeP99Ms: 100 };

const child = fork(new URL('controller.ts', import.meta.url), { execArgv: [] });

async function ask<K extends Answer['answer']>(
  order: Order,
  kind: K,
): Promise<Extract<Answer, { answer: K }>> {
  child.send(order);
  const [answer]: Answer[] = await once(child, 'message');
  if (answer?.answer !== kind) throw new Error(`expected ${kind}, got ${answer?.answer}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the kind was just checked
  return answer as Extract<Answer, { answer: K }>;
}

/** Called for each version that an agent has received whole. */
let received = (_version: number): void => {};

async function firstAgent(port: number, roots: readonly string[]): Promise<number> {
  const began = performance.now();
  const whole = Promise.withResolvers<number>();
  const client = new ControlClient({
    url: `wss://127.0.0.1:${port}`,
    node: nodeName(0),
    instance: 'first',
    version: 'bench',
    token: async () => tokenOf(nodeName(0)),
    roots: async () => roots,
    resume: () => undefined,
    onTrust: () => {},
    onUpdate: ({ version, snapshot, workloads, services }) => {
      if (!snapshot) {
        received(version);
        return;
      }
      if (workloads.length !== size.workloads || services.length !== size.services) {
        throw new Error(`${workloads.length} workloads and ${services.length} services`);
      }
      whole.resolve(performance.now() - began);
    },
    log: {
      ...silent,
      error: (message, fields) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
    },
  });
  await client.start();
  return whole.promise;
}

async function lightAgent(port: number, node: string): Promise<number> {
  const ws = new WebSocket(`wss://127.0.0.1:${port}/v1/agent`, ['plumbline.control'], {
    headers: { authorization: `Bearer ${tokenOf(node)}` },
    rejectUnauthorized: false,
    perMessageDeflate: false,
  });
  await once(ws, 'open');
  const whole = Promise.withResolvers<number>();
  let bytes = 0;
  ws.on('message', (data: Buffer) => {
    bytes += data.length;
    const head = data.toString('latin1', 0, 120);
    if (head.includes('"snapshot":true')) {
      if (head.includes('"last":true')) whole.resolve(bytes);
    } else if (head.includes('"type":"update"')) {
      const message = decodeControllerMessage(data.toString('utf8'));
      if (message.type === 'update') received(message.version);
    }
  });
  const hello = { type: 'hello', protocols: [1], node, instance: node, version: 'bench' };
  ws.send(JSON.stringify({ ...hello, resume: null }));
  return whole.promise;
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((x, y) => x - y);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}

function say(what: string, figure: string): void {
  process.stdout.write(`${what.padEnd(52)} ${figure}\n`);
}

const { port, roots, buildMs } = await ask({ order: 'start', size }, 'started');
say(`model of ${size.workloads} workloads, ${size.services} services`, `${Math.round(buildMs)} ms`);
const snapshotMs = await firstAgent(port, roots);
say('first snapshot, decoded by the agent', `${Math.round(snapshotMs)} ms`);
const { rss: alone } = await ask({ order: 'usage' }, 'usage');
say('controller RSS with one agent', `${Math.round(alone / 2 ** 20)} MiB`);

const connecting = performance.now();
const others = Array.from({ length: size.nodes - 1 }, (_, i) => nodeName(i + 1));
const bytes = await Promise.all(others.map(async (node) => lightAgent(port, node)));
const allMs = performance.now() - connecting;
say(`snapshots of ${others.length} more agents at once`, `${Math.round(allMs)} ms`);
say('bytes of one snapshot', `${((bytes[0] ?? 0) / 2 ** 20).toFixed(1)} MiB`);

const reachMs: number[] = [];
const lastMs: number[] = [];
const applyMs: number[] = [];
for (let i = 0; i < Number(flags.changes); i += 1) {
  const arrivals: bigint[] = [];
  const all = Promise.withResolvers<void>();
  received = () => {
    arrivals.push(process.hrtime.bigint());
    if (arrivals.length === size.nodes) all.resolve();
  };
  const flipped = await ask(
    { order: 'flip', pod: (i * 7919) % size.workloads, ready: false },
    'flipped',
  );
  await all.promise;
  applyMs.push(flipped.applyMs);
  const each = arrivals.map((at) => Number(at - BigInt(flipped.atNs)) / 1e6);
  reachMs.push(...each);
  lastMs.push(Math.max(...each));
}
const { rss, peakRss, cpuMs } = await ask({ order: 'usage' }, 'usage');
const p99 = quantile(reachMs, 0.99);
say('one endpoint change, in model and state, p50', `${quantile(applyMs, 0.5).toFixed(2)} ms`);
say(
  `… reaches an agent of ${size.nodes}, p50 / p99`,
  `${quantile(reachMs, 0.5).toFixed(1)} / ${p99.toFixed(1)} ms`,
);
say(
  '… reaches the last agent, p50 / worst',
  `${quantile(lastMs, 0.5).toFixed(1)} / ${Math.max(...lastMs).toFixed(1)} ms`,
);
const peakMb = Math.round(peakRss / 2 ** 20);
say('controller RSS, now / peak', `${Math.round(rss / 2 ** 20)} / ${peakMb} MiB`);
say('controller CPU in all', `${Math.round(cpuMs)} ms`);

const misses = [
  snapshotMs > BARS.snapshotMs ? `first snapshot above ${BARS.snapshotMs} ms` : '',
  peakMb > BARS.rssMb ? `RSS above ${BARS.rssMb} MiB` : '',
  p99 > BARS.changeP99Ms ? `change above ${BARS.changeP99Ms} ms` : '',
].filter((miss) => miss !== '');
say('bars', misses.length === 0 ? 'all met' : misses.join('; '));
child.disconnect();
process.exit(flags.check && misses.length > 0 ? 1 : 0);

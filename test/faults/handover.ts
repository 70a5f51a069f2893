/**
 * Agents replaced again and again, on both sides of the connections, under load: nothing may break.
 *
 * The load (handover-load.c) compares every byte: 200 connections that echo blocks, streams both ways,
 * 500 new connections a second, and some that are silent or half-closed. The pause is the longest round
 * trip of a busy connection within one replacement, start of the successor included.
 *
 *   ./scripts/run node test/faults/handover.ts [--quick] [--count N] [--workers N]
 */
import { execFileSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Mesh } from '../helpers/mesh.ts';
import {
  account,
  documents,
  namespace,
  nodes,
  peerAuthentication,
  pod,
} from '../helpers/mesh-yaml.ts';
import type { PodNetns } from '../helpers/netns.ts';
import { judge } from './scenario.ts';
import type { Options, Result, Scenario } from './scenario.ts';

const PORT = 7000;
const BUSY = 200;
const BULK = 2;
const NEW_PER_SECOND = 500;
const MOST_PAUSE_MS = 300;
/** The short form runs among other tests, on machines that do other things as well. */
const MOST_PAUSE_QUICK_MS = 1000;
const REPLACEMENTS = 50;
const QUICK_REPLACEMENTS = 4;
const BETWEEN_MS = 300;
const LEAVES_WITHIN_MS = 30_000;

const yaml = documents(
  nodes(2),
  namespace('shop'),
  account('web'),
  account('cart'),
  pod('web', { node: 1, account: 'web' }),
  pod('cart', { node: 2, account: 'cart' }),
  peerAuthentication('strict', { mtls: { mode: 'STRICT' } }),
);

export interface HandoverOptions extends Options {
  readonly count?: number;
  readonly workers?: number;
}

export const scenario: Scenario = {
  name: 'handover',
  title: 'agents are replaced under load, and every connection goes on (R2)',
  run,
};

async function run(options: HandoverOptions): Promise<Result> {
  const undo: (() => void | Promise<void>)[] = [];
  const t = { after: (one: () => void | Promise<void>) => void undo.push(one) };
  try {
    return await replace(t, options);
  } finally {
    for (const one of undo.toReversed()) await one();
  }
}

async function replace(
  t: { after(undo: () => void | Promise<void>): void },
  options: HandoverOptions,
): Promise<Result> {
  const { quick, prefix = 'fltrepl', workers = 1 } = options;
  const count = options.count ?? (quick ? QUICK_REPLACEMENTS : REPLACEMENTS);
  const binary = build(t);
  const agentFlags = ['--drain', '2s', '--workers', String(workers)];
  const mesh = await Mesh.start(t, prefix, { yaml, agentFlags });
  const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
  await started(cart, [binary, 'serve', String(PORT)]);
  const load = await started(web, [
    binary,
    'run',
    cart.address4 ?? '',
    ...[PORT, BUSY, BULK, NEW_PER_SECOND].map(String),
  ]);
  await delay(1000);
  const held: number[] = [];
  let units = 0;
  for (let n = 0; n < count; n += 1) {
    const node = (n % 2) + 1;
    const old = mesh.agent(node);
    const next = mesh.successor(node);
    load.child.kill('SIGUSR1');
    next.start();
    const late = delay(LEAVES_WITHIN_MS, 'late', { ref: false });
    const code = await Promise.race([old.exit(), late]);
    if (code !== 0) throw new Error(`the old agent of node ${node} ended with ${code}`);
    mesh.replaceAgent(node, next);
    for (const line of old.lines) {
      if (line['message'] !== 'a successor took connections') continue;
      if (line['round'] === 1) held.push(Number(line['heldMs']));
      units += Number(line['units']);
    }
    await delay(BETWEEN_MS);
  }
  load.child.kill('SIGTERM');
  await once(load.child, 'exit');
  const found = figuresOf(load.lines.at(-1));
  const ascending = held.toSorted((a, b) => a - b);
  const mostPauseMs = quick ? MOST_PAUSE_QUICK_MS : MOST_PAUSE_MS;
  return judge({
    figures: {
      replacements: count,
      workers,
      ...found,
      unitsHandedOver: units,
      heldMsMedian: ascending[Math.floor(ascending.length / 2)] ?? -1,
      heldMsMax: ascending.at(-1) ?? -1,
    },
    marks: {
      'no connection was broken, every byte compared': found['broken'] === 0,
      'every replacement handed its connections over': held.length === count,
      [`pause p99 at most ${mostPauseMs} ms`]: Number(found['pauseP99']) <= mostPauseMs,
      'no payload crossed a node boundary in clear': mesh.wire.report().inClear === 0,
    },
  });
}

function build(t: { after(undo: () => void): void }): string {
  const directory = mkdtempSync('/tmp/plumb-handover-load-');
  t.after(() => rmSync(directory, { recursive: true }));
  const binary = `${directory}/load`;
  const source = fileURLToPath(new URL('handover-load.c', import.meta.url));
  execFileSync('gcc', ['-O2', '-Wall', '-pthread', '-o', binary, source]);
  return binary;
}

/** Starts a program in a pod and waits for its first line. */
async function started(
  where: PodNetns,
  [program = '', ...args]: readonly string[],
): Promise<{ child: ChildProcess; lines: string[] }> {
  const child = where.spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  if (child.stdout === null) throw new TypeError('a program without output');
  const reader = createInterface(child.stdout);
  reader.on('line', (line) => lines.push(line));
  await once(reader, 'line');
  return { child, lines };
}

function figuresOf(line: string | undefined): Record<string, number> {
  const found: unknown = JSON.parse(line ?? '{}');
  const entries = Object.entries(typeof found === 'object' && found !== null ? found : {});
  return Object.fromEntries(entries.map(([name, value]) => [name, Number(value)]));
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      count: { type: 'string' },
      workers: { type: 'string', default: '1' },
    },
  });
  const { figures, passed, why } = await run({
    quick: values.quick,
    workers: Number(values.workers),
    ...(values.count === undefined ? {} : { count: Number(values.count) }),
  });
  for (const [name, value] of Object.entries(figures)) console.log(`${name.padEnd(18)} ${value}`);
  console.log(passed ? 'passed' : `FAILED: ${why}`);
  process.exitCode = passed ? 0 : 1;
}

/** What a large mesh costs an agent: memory, changes, and a full snapshot under load. */
import { setTimeout as delay } from 'node:timers/promises';
import { quantile } from '../../soak/slope.ts';
import { Rig } from './rig.ts';
import { table, slope, type Outcome, type Row } from './rows.ts';
import type { Trips } from './probe.ts';

const SIZES = [
  { workloads: 100, services: 10 },
  { workloads: 1000, services: 100 },
  { workloads: 10_000, services: 1000 },
  { workloads: 50_000, services: 5000 },
] as const;
const WORKERS = 2;
const CHANGES = 100;
const BASELINE_MS = 4000;
/** By then an agent has saved the snapshot and collected what it left behind. */
const SETTLE_MS = 8000;
const now = (): number => Number(process.hrtime.bigint()) / 1e6;

export async function viewBench(tell: (line: string) => void): Promise<Outcome> {
  const rows: Row[] = [];
  for (const size of SIZES) {
    const row = await measure({ ...size, nodes: 100 });
    rows.push(row);
    tell(JSON.stringify(row));
  }
  const columns = [
    { key: 'workloads', title: 'workloads', digits: 0 },
    { key: 'controller', title: 'controller MB', digits: 0 },
    { key: 'agentA', title: 'agent A MB', digits: 1 },
    { key: 'agentB', title: 'agent B MB', digits: 1 },
    { key: 'changeP50', title: 'change in force, p50 ms', digits: 1 },
    { key: 'changeP99', title: 'p99 ms', digits: 1 },
    { key: 'calmP50', title: 'round trip p50 us', digits: 0 },
    { key: 'calmP99', title: 'p99 us', digits: 0 },
    { key: 'applyMs', title: 'snapshot applied in ms', digits: 0 },
    { key: 'applyP99', title: 'p99 us meanwhile', digits: 0 },
    { key: 'applyWorst', title: 'worst us', digits: 0 },
    { key: 'wholeP99', title: 'p99 us from connect on', digits: 0 },
  ];
  const last = rows.at(-1) ?? {};
  const kbEach = slope(rows, 'workloads', 'agentA') * 1024;
  return {
    title: `Workloads and services in the view (${WORKERS} data workers)`,
    tables: [table(columns, rows, 1000)],
    bars: [
      { what: 'RSS of an agent per workload, all copies', measured: kbEach, most: 1, unit: 'KB' },
      {
        what: 'change in force, p99',
        measured: last['changeP99'] ?? Number.NaN,
        most: 50,
        unit: 'ms',
      },
      {
        what: 'round-trip p99 while a snapshot is applied',
        measured: (last['applyP99'] ?? Number.NaN) / (last['calmP99'] ?? Number.NaN),
        most: 1.2,
        unit: '×',
      },
    ],
  };
}

export async function measure(size: {
  workloads: number;
  services: number;
  nodes: number;
}): Promise<Row> {
  const rig = new Rig(WORKERS);
  try {
    await rig.start(size);
    await delay(SETTLE_MS);
    const { controller, 'agent A': agentA, 'agent B': agentB } = rig.memory();
    const changes: number[] = [];
    for (let i = 0; i < CHANGES; i += 1) {
      const { version, atNs } = await rig.order({
        order: 'flip',
        pod: (i * 7919) % size.workloads,
        ready: i % 2 === 1,
      });
      await rig.inForce(version, [0]);
      changes.push(now() - Number(BigInt(atNs)) / 1e6);
    }
    const probe = await rig.probe();
    await delay(500);
    const calmFrom = now();
    await delay(BASELINE_MS);
    const calm = await probe.trips({ fromMs: calmFrom, toMs: now() });
    const { epoch } = await rig.version(0);
    await rig.endController();
    await rig.startController(size);
    const connectedAt = now();
    // The new epoch shows when the main thread has applied the snapshot and given it to the workers.
    const [begun, done] = await snapshotIn(rig, epoch);
    await delay(200);
    const applied: Trips = await probe.trips({ fromMs: begun, toMs: done });
    const whole = await probe.trips({ fromMs: connectedAt, toMs: done });
    await probe.end();
    return {
      workloads: size.workloads,
      controller,
      agentA,
      agentB,
      changeP50: quantile(changes, 0.5),
      changeP99: quantile(changes, 0.99),
      calmP50: calm.p50,
      calmP99: calm.p99,
      applyMs: done - begun,
      applyP50: applied.p50,
      applyP99: applied.p99,
      applyWorst: applied.worst,
      applyTrips: applied.count,
      wholeP99: whole.p99,
    };
  } finally {
    await rig.stop();
  }
}

/** When the first agent's main thread had the new world, and when the last worker of both had it. */
async function snapshotIn(rig: Rig, epoch: string): Promise<readonly [number, number]> {
  let begun = 0;
  const left = new Set<0 | 1>([0, 1]);
  while (left.size > 0) {
    for (const agent of left) {
      const version = await rig.version(agent);
      if (version.epoch === epoch) continue;
      if (begun === 0) begun = now();
      if (version.workerVersion === version.meshVersion) left.delete(agent);
    }
    await delay(2);
  }
  return [begun, now()];
}

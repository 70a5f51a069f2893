/** What open connections cost: memory of every process, and a busy connection beside them. */
import { readMetric, type Outcome, type Row } from './rows.ts';
import { table } from './rows.ts';
import { Rig } from './rig.ts';

const COUNTS = [10, 1000, 10_000] as const;
const HOLD_SECONDS = 20;
const BUSY_SECONDS = 4;
const OPEN_WITHIN_MS = 15_000;

export async function connectionsBench(tell: (line: string) => void): Promise<Outcome> {
  const rig = new Rig(1);
  const rows: Row[] = [];
  try {
    await rig.start({ workloads: 100, services: 10, nodes: 10 });
    for (const connections of COUNTS) {
      const idle = rig.begin('conns', '-n', String(connections), '-t', String(HOLD_SECONDS));
      await opened(rig, connections);
      const { controller, 'agent A': agentA, 'agent B': agentB } = rig.memory();
      const busy = await rig.load(
        'rr',
        '-n',
        '1',
        '-s',
        '1024',
        '-t',
        String(BUSY_SECONDS),
        '-w',
        '0.5',
      );
      idle.child.kill('SIGKILL');
      await idle.output;
      const { p50 = Number.NaN, p99 = Number.NaN, cpu_ms_per_1k: cpu = Number.NaN } = busy;
      rows.push({ connections, controller, agentA, agentB, p50, p99, cpu });
      tell(JSON.stringify(rows.at(-1)));
    }
  } finally {
    await rig.stop();
  }
  const columns = [
    { key: 'connections', title: 'open connections', digits: 0 },
    { key: 'controller', title: 'controller MB', digits: 0 },
    { key: 'agentA', title: 'agent A MB', digits: 1 },
    { key: 'agentB', title: 'agent B MB', digits: 1 },
    { key: 'p50', title: 'round trip p50 us', digits: 0 },
    { key: 'p99', title: 'p99 us', digits: 0 },
    { key: 'cpu', title: 'CPU ms/1,000', digits: 1 },
  ];
  return {
    title: 'Open connections, and one busy one beside them (1 data worker)',
    tables: [table(columns, rows, 1000)],
    bars: [],
  };
}

async function opened(rig: Rig, connections: number): Promise<void> {
  const deadline = performance.now() + OPEN_WITHIN_MS;
  for (;;) {
    const open = readMetric(await rig.metrics(0), 'plumbline_connections_open_outbound');
    if (open >= connections) return;
    if (performance.now() > deadline) throw new Error(`${open} of ${connections} are open`);
    await new Promise((next) => setTimeout(next, 100));
  }
}

/** What policies cost: judging one connection, and opening one. All apply to the server of the load. */
import { authorize } from '#common/decide/authorize.ts';
import { identityOf } from '#common/identity.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import { View } from '#common/mesh/view.ts';
import { policy, ruleOf, snapshot, workload } from '../../helpers/mesh-build.ts';
import { quantile } from '../../soak/slope.ts';
import { Rig } from './rig.ts';
import { table, type Outcome, type Row } from './rows.ts';

const COUNTS = [1, 10, 100, 1000, 10_000] as const;
/** Beside one another in each round, so that a machine that drifts treats all alike. */
const ROUNDS = 3;
const REFERENCE = 10;
const JUDGEMENTS = 100_000;

export async function policiesBench(tell: (line: string) => void): Promise<Outcome> {
  const rig = new Rig(1);
  const seen = new Map<number, Row[]>(COUNTS.map((count) => [count, []]));
  try {
    await rig.start({ workloads: 100, services: 10, nodes: 10 });
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const count of COUNTS) {
        const { version } = await rig.order({ order: 'policies', count });
        await rig.inForce(version);
        const { rate = Number.NaN, cpu_ms_per_1k: cpu = Number.NaN } = await rig.load(
          'crr',
          '-n',
          '8',
          '-t',
          '1.5',
          '-w',
          '0.5',
        );
        const { controller, 'agent A': agentA, 'agent B': agentB } = rig.memory();
        const row = { controller, agentA, agentB, rate, cpu, judge: judgement(count) };
        seen.get(count)?.push(row);
        tell(`${count} ${JSON.stringify(row)}`);
      }
    }
  } finally {
    await rig.stop();
  }
  const rows = Array.from(seen, ([policies, measured]): Row => {
    const median = (key: string): number =>
      quantile(
        measured.map((row) => row[key] ?? Number.NaN),
        0.5,
      );
    const figures = ['rate', 'cpu', 'judge'].map((key) => [key, median(key)]);
    // Memory of the first round: later ones have seen ten thousand before.
    return { policies, ...measured[0], ...Object.fromEntries(figures) };
  });
  const columns = [
    { key: 'policies', title: 'policies', digits: 0 },
    { key: 'judge', title: 'authorize us', digits: 2 },
    { key: 'rate', title: 'new connections/s', digits: 0 },
    { key: 'cpu', title: 'CPU ms/1,000', digits: 0 },
    { key: 'controller', title: 'controller MB', digits: 0 },
    { key: 'agentA', title: 'agent A MB', digits: 1 },
    { key: 'agentB', title: 'agent B MB', digits: 1 },
  ];
  const of = (count: number, key: string): number =>
    rows.find((row) => row['policies'] === count)?.[key] ?? Number.NaN;
  const ratio = (key: string): number => of(10_000, key) / of(REFERENCE, key);
  return {
    title: 'Policies, all for the server of the load (1 data worker)',
    tables: [table(columns, rows, 1000)],
    bars: [
      { what: 'authorize, 10,000 to 10', measured: ratio('judge'), most: 1.2, unit: '×' },
      {
        what: 'CPU of a new connection, 10,000 to 10',
        measured: ratio('cpu'),
        most: 1.2,
        unit: '×',
      },
    ],
  };
}

/** Microseconds of one judgement in a view with so many policies; the first allows. */
function judgement(count: number): number {
  const server = workload('server', { namespace: 'bench' });
  const policies = Array.from({ length: count }, (_, i) =>
    policy(`allow-${i}`, {
      namespace: 'bench',
      ...ruleOf({ serviceAccounts: [`bench/other-${i}`] }),
    }),
  );
  const view = new View();
  view.apply(packUpdate(snapshot({ workloads: [server], policies })));
  const connection = {
    identity: identityOf('cluster.local', 'bench', 'other-0'),
    sourceAddress: '10.91.1.2',
    destinationAddress: '10.91.2.2',
    destinationPort: 7000,
  };
  if (!authorize(view, server, connection).allow) throw new Error('it is refused');
  const from = performance.now();
  for (let i = 0; i < JUDGEMENTS; i += 1) authorize(view, server, connection);
  return ((performance.now() - from) * 1000) / JUDGEMENTS;
}

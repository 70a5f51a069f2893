/**
 * What pods on one node cost its agent: capture, proof, memory, and certificates that are renewed all
 * the time. Each pod is a namespace with an identity of its own; agent and controller are whole.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Mesh } from '../../helpers/mesh.ts';
import { account, documents, namespace, nodes, pod } from '../../helpers/mesh-yaml.ts';
import { quantile } from '../../soak/slope.ts';
import { cpuSeconds, descriptors, residentKb } from '../processes.ts';
import { table, type Outcome, type Row } from './rows.ts';

const COUNTS = [1, 10, 100, 200] as const;
const BATCH = 20;
/** Added one by one to what is there. */
const SINGLE = 5;
const WATCH_MS = 6000;

const RENEWED_PODS = 100;
/** Renewed at 60 % of this on average: each once a minute. */
const LEAF_LIFE = '100s';
const RENEWALS_MS = 60_000;
const FIRST_RENEWALS_MS = 50_000;

const some = (count: number): string =>
  documents(
    nodes(1),
    namespace('shop'),
    ...Array.from({ length: count }, (_, i) =>
      documents(account(`app-${i}`), pod(`app-${i}`, { node: 1, account: `app-${i}` })),
    ),
  );

export async function podsBench(tell: (line: string) => void): Promise<Outcome> {
  const rows = await withMesh(1, [], async (mesh) => {
    const measured: Row[] = [];
    let there = 1;
    for (const count of COUNTS) {
      while (there < count) {
        there = Math.min(count, there + BATCH);
        await mesh.write(some(there));
        await mesh.proven();
      }
      await delay(1000);
      const agent = mesh.agent(1);
      const cpu = cpuSeconds(agent.pid);
      await delay(WATCH_MS);
      const watching = ((cpuSeconds(agent.pid) - cpu) * 100_000) / WATCH_MS;
      agent.lines.length = 0;
      const provenMs: number[] = [];
      const cpuBefore = cpuSeconds(agent.pid);
      for (let i = 0; i < SINGLE; i += 1) {
        there += 1;
        await mesh.write(some(there));
        const from = performance.now();
        await mesh.proven();
        provenMs.push(performance.now() - from);
      }
      const enrolMs = agent.lines
        .filter((line) => line['message'] === 'pod captured')
        .map((line) => Number(line['ms']));
      measured.push({
        pods: count,
        controller: residentKb(mesh.controller.pid) / 1024,
        agent: residentKb(agent.pid) / 1024,
        descriptors: descriptors(agent.pid),
        watching,
        enrolP50: quantile(enrolMs, 0.5),
        enrolWorst: Math.max(...enrolMs),
        provenMs: quantile(provenMs, 0.5),
        cpuMs: ((cpuSeconds(agent.pid) - cpuBefore) * 1000) / SINGLE,
      });
      tell(JSON.stringify(measured.at(-1)));
    }
    return measured;
  });
  const columns = [
    { key: 'pods', title: 'pods', digits: 0 },
    { key: 'controller', title: 'controller MB', digits: 0 },
    { key: 'agent', title: 'agent MB', digits: 1 },
    { key: 'descriptors', title: 'descriptors', digits: 0 },
    { key: 'watching', title: 'watching and proof, % of a core', digits: 2 },
    { key: 'enrolP50', title: 'to capture one more, p50 ms', digits: 0 },
    { key: 'enrolWorst', title: 'worst ms', digits: 0 },
    { key: 'provenMs', title: 'from known to proven, p50 ms', digits: 0 },
    { key: 'cpuMs', title: 'agent CPU ms of one more', digits: 0 },
  ];
  const worst = Math.max(...rows.map((row) => row['enrolP50'] ?? Number.NaN));
  return {
    title: 'Pods of one node (1 data worker)',
    tables: [table(columns, rows, 1)],
    bars: [
      { what: 'to capture one more pod, p50 at any size', measured: worst, most: 150, unit: 'ms' },
    ],
  };
}

export async function certificatesBench(tell: (line: string) => void): Promise<Outcome> {
  const row = await withMesh(RENEWED_PODS, ['--leaf-life', LEAF_LIFE], async (mesh) => {
    // The first are renewed half a life after they were issued.
    await delay(FIRST_RENEWALS_MS);
    const agent = mesh.agent(1);
    const pids = [mesh.controller.pid, agent.pid] as const;
    agent.lines.length = 0;
    const before = pids.map(cpuSeconds);
    await delay(RENEWALS_MS);
    const [controller = 0, ours = 0] = pids.map((pid, i) => cpuSeconds(pid) - (before[i] ?? 0));
    const renewed = agent.lines.filter((line) => line['message'] === 'certificate in force').length;
    return {
      renewed: (renewed * 60_000) / RENEWALS_MS,
      controllerCpu: (controller * 100_000) / RENEWALS_MS,
      agentCpu: (ours * 100_000) / RENEWALS_MS,
      controller: residentKb(pids[0]) / 1024,
      agent: residentKb(pids[1]) / 1024,
    };
  });
  tell(JSON.stringify(row));
  const columns = [
    { key: 'renewed', title: 'certificates a minute', digits: 0 },
    { key: 'controllerCpu', title: 'controller, % of a core', digits: 2 },
    { key: 'agentCpu', title: 'agent, % of a core, with watching 100 pods', digits: 2 },
    { key: 'controller', title: 'controller MB', digits: 0 },
    { key: 'agent', title: 'agent MB', digits: 1 },
  ];
  return {
    title: `Certificates renewed (${RENEWED_PODS} identities on one node)`,
    tables: [table(columns, [row], 1)],
    bars: [],
  };
}

/** A mesh of one node for as long as `work` takes. */
async function withMesh<T>(
  count: number,
  controllerFlags: readonly string[],
  work: (mesh: Mesh) => Promise<T>,
): Promise<T> {
  const undos: (() => void | Promise<void>)[] = [];
  try {
    const test = { after: (undo: () => void | Promise<void>) => void undos.push(undo) };
    const mesh = await Mesh.start(test, 'meshscl', {
      yaml: some(Math.min(count, BATCH)),
      nodes: 1,
      controllerFlags,
    });
    for (let there = BATCH; there < count; there += BATCH) {
      await mesh.write(some(Math.min(count, there + BATCH)));
      await mesh.proven();
    }
    return await work(mesh);
  } finally {
    for (const undo of undos.toReversed()) await undo();
  }
}

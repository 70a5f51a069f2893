/**
 * What is done to a mesh in a long run, one thing after another: churn, rotation, replacement, faults.
 *
 * Each step ends when the mesh is whole again, and throws when it does not become so. A step says
 * what it may cost: living connections (`cuts`), new ones (`refuses`), or nothing.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { CaReport } from '#common/control/reports.ts';
import type { Mesh } from '../helpers/mesh.ts';
import { account, documents, pod, policy } from '../helpers/mesh-yaml.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';
import { eventually } from '../helpers/program.ts';
import { APP_PORT } from './load.ts';

export interface Stage {
  readonly mesh: Mesh;
  readonly base: string;
  /** For servers of pods, as tap's `t`. */
  readonly after: (undo: () => void | Promise<void>) => void;
}

export interface Step {
  readonly name: string;
  readonly cuts?: boolean;
  readonly refuses?: boolean;
  /** Once in so many rounds. */
  readonly every: number;
  act(stage: Stage, round: number): Promise<void>;
}

/** Within this a fault's last victims have noticed, and drains have ended. */
const AFTERMATH_MS = 3_000;
const ROTATION_MS = 180_000;

async function churn({ mesh, base }: Stage, round: number): Promise<void> {
  const names = [1, 2, 3, 4].map((i) => `guest-${round}-${i}`);
  const guests = names.map((name, i) => pod(name, { node: 1 + (i % 2), account: 'web' }));
  await mesh.write(documents(base, ...guests));
  await mesh.proven();
  for (const name of names) {
    for (const cart of ['shop/cart-1', 'shop/cart-2']) {
      const seen = await greet(
        mesh.pod(`shop/${name}`).fd,
        mesh.pod(cart).address4 ?? '',
        APP_PORT,
      );
      if (seen !== mesh.pod(`shop/${name}`).address4) throw new Error(`${name} seen as ${seen}`);
    }
  }
  await mesh.write(base);
}

async function policies({ mesh, base }: Stage): Promise<void> {
  const stranger = documents(
    account('stranger'),
    pod('stranger', { node: 1, account: 'stranger' }),
  );
  const principals = ['cluster.local/ns/shop/sa/web'];
  const only = policy('web-alone', {
    action: 'ALLOW',
    rules: [{ from: [{ source: { principals } }] }],
  });
  const call = async (): Promise<string> =>
    greet(mesh.pod('shop/stranger').fd, mesh.pod('shop/cart-2').address4 ?? '', APP_PORT);
  await mesh.write(documents(base, stranger));
  await mesh.proven();
  await call();
  await mesh.write(documents(base, stranger, only));
  await eventually('the stranger is refused', async () => {
    const isServed = await call().then(
      () => true,
      () => false,
    );
    if (isServed) throw new Error('it is served');
  });
  await mesh.write(base);
}

async function replace({ mesh }: Stage): Promise<void> {
  const old = mesh.agent(1);
  const next = mesh.successor(1);
  next.start();
  const code = await old.exit();
  mesh.replaceAgent(1, next);
  if (code !== 0) throw new Error(`the old agent ended with ${code}`);
  await mesh.proven();
}

async function crash({ mesh }: Stage): Promise<void> {
  await mesh.agent(1).end('SIGKILL');
  await delay(200);
  mesh.agent(1).start();
  await mesh.proven();
}

async function linkDown({ mesh }: Stage): Promise<void> {
  mesh.net.hub.exec('ip link set port2 down');
  await delay(1500);
  mesh.net.hub.exec('ip link set port2 up');
  await mesh.proven();
}

async function loss({ mesh }: Stage): Promise<void> {
  const rule = '-m statistic --mode random --probability 0.03 -j DROP';
  const node = mesh.net.node(1);
  node.exec(`iptables -w -A FORWARD ${rule}`);
  try {
    await delay(4000);
  } finally {
    node.exec(`iptables -w -D FORWARD ${rule}`);
  }
}

async function flush({ mesh }: Stage): Promise<void> {
  const repairs = async (): Promise<number> => {
    const rows = await mesh.proof(2);
    return rows.find(({ name }) => name === 'web-2')?.capture?.repairs ?? 0;
  };
  const before = await repairs();
  mesh.pod('shop/web-2').exec('iptables -t nat -F');
  await eventually('the rules are repaired', async () => {
    if ((await repairs()) === before) throw new Error('not yet');
  });
  await mesh.proven();
}

async function freeze({ mesh }: Stage): Promise<void> {
  process.kill(mesh.controller.pid, 'SIGSTOP');
  try {
    await delay(4000);
  } finally {
    process.kill(mesh.controller.pid, 'SIGCONT');
  }
  await eventually('agents are connected', async () => {
    const agents = await mesh.controller.ask<unknown[]>('/v1/agents');
    if (agents.length < 2) throw new Error(`${agents.length} are`);
  });
}

async function rotate({ mesh }: Stage): Promise<void> {
  await mesh.controller.ask('/v1/ca/rotate', 'POST');
  await eventually(
    'the old root is gone',
    async () => {
      const report = await mesh.controller.ask<CaReport>('/v1/ca');
      if (report.phase !== 'stable') throw new Error(JSON.stringify(report));
    },
    ROTATION_MS,
  );
}

/** In the order in which a round does them. */
export const STEPS: readonly Step[] = [
  { name: 'pods come and go', every: 1, act: churn },
  { name: 'policies change', every: 1, act: policies },
  { name: 'agent replaced', every: 1, act: replace },
  { name: 'link down', every: 1, refuses: true, act: linkDown },
  { name: 'packets lost', every: 1, refuses: true, act: loss },
  { name: 'rules flushed', every: 1, refuses: true, act: flush },
  { name: 'controller frozen', every: 1, act: freeze },
  { name: 'agent killed', every: 2, cuts: true, refuses: true, act: crash },
  { name: 'root rotated', every: 3, act: rotate },
].map((step) => ({ ...step, act: withAftermath(step.act) }));

function withAftermath(act: Step['act']): Step['act'] {
  return async (stage, round) => {
    await act(stage, round);
    await delay(AFTERMATH_MS);
  };
}

/** The servers that every path leads to. */
export async function serve(stage: Stage): Promise<void> {
  for (const name of ['shop/cart-1', 'shop/cart-2'])
    await greeter(stage, stage.mesh.pod(name).fd, APP_PORT);
}

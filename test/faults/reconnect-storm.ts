/**
 * R7: five hundred agents lose their controller at one moment and come back to it.
 *
 * The agents are the real control client; they share one process, and one connection point that drops
 * all of them and refuses for a while, so that their world and the controller's go on meanwhile.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { ControlClient } from '#common/control/client.ts';
import { nodeName } from '../bench/control/world.ts';
import type { Answer, Order } from '../bench/control/controller.ts';
import { tokenOf } from '../helpers/control-rig.ts';
import { silent } from '../helpers/silent-log.ts';
import { cpuSeconds, ms, msUntil } from './measure.ts';
import { judge, type Scenario, type Undo, undoing } from './scenario.ts';

const AWAY_MS = 3000;
const SYNCED_MS = 10_000;
/** The longest pause of the back-off of clients that have failed for three seconds. */
const LONGEST_PAUSE_MS = 4000;

/** A door to a port that can be shut with everybody thrown out. */
async function door(undo: Undo, port: number) {
  const open = new Set<Socket>();
  let isShut = false;
  const server = createServer((outer) => {
    if (isShut) {
      outer.destroy();
      return;
    }
    const inner = connect({ host: '127.0.0.1', port });
    for (const [one, other] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      open.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 });
  await once(server, 'listening');
  const shut = (): void => {
    isShut = true;
    for (const socket of open) socket.destroy();
  };
  undo.after(() => {
    shut();
    server.close();
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    shut,
    unshut: () => (isShut = false),
  };
}

export const scenario: Scenario = {
  name: 'reconnect-storm',
  title: 'R7: 500 agents lose their controller at once and come back; spread out, and resumed',
  run: async ({ quick }) =>
    undoing(async (undo) => {
      const agents = quick ? 100 : 500;
      const size = { workloads: quick ? 2000 : 10_000, services: 200, nodes: agents };
      const { NODE_OPTIONS: _, ...env } = process.env;
      const child = fork(new URL('../bench/control/controller.ts', import.meta.url), {
        execArgv: ['--disable-warning=ExperimentalWarning'],
        env,
      });
      undo.after(() => void child.kill('SIGKILL'));
      const ask = async (order: Order): Promise<Answer> => {
        child.send(order);
        const [answer]: Answer[] = await once(child, 'message');
        if (answer === undefined) throw new Error('the controller says nothing');
        return answer;
      };
      const started = await ask({ order: 'start', size });
      if (started.answer !== 'started') throw new Error(started.answer);
      const { roots } = started;
      const way = await door(undo, started.port);
      const held = new Map<string, { epoch: string; version: number }>();
      const connectedAt: number[] = [];
      let connected = 0;
      let snapshots = 0;
      const clients = Array.from({ length: agents }, (_one, i) => nodeName(i)).map(
        (node) =>
          new ControlClient({
            url: `wss://127.0.0.1:${way.port}`,
            node,
            instance: node,
            version: 'test',
            token: async () => tokenOf(node),
            roots: async () => roots,
            resume: () => held.get(node),
            onTrust: () => {},
            onConnected: (isUp) => {
              connected += isUp ? 1 : -1;
              if (isUp) connectedAt.push(performance.now());
            },
            onUpdate: (update, epoch) => {
              if (update.snapshot) snapshots += 1;
              held.set(node, { epoch, version: update.version });
            },
            log: silent,
          }),
      );
      for (const client of clients) {
        await client.start();
        undo.after(async () => client.stop());
      }
      await msUntil(() => held.size === agents, 60_000);
      const first = snapshots;
      connectedAt.length = 0;
      way.shut();
      await delay(AWAY_MS);
      const flipped = await ask({ order: 'flip', pod: 0, ready: false });
      if (flipped.answer !== 'flipped') throw new Error(flipped.answer);
      const cpuBefore = cpuSeconds(child.pid ?? 0);
      const openedAt = performance.now();
      way.unshut();
      const synced = await msUntil(
        () => [...held.values()].every(({ version }) => version >= flipped.version),
        60_000,
      );
      const spanS = (performance.now() - openedAt) / 1000;
      const cpus = (cpuSeconds(child.pid ?? 0) - cpuBefore) / spanS;
      const waits = connectedAt.map((at) => at - openedAt).toSorted((x, y) => x - y);
      const spread = (waits.at(-1) ?? 0) - (waits[0] ?? 0);
      return judge({
        figures: {
          agents: agents,
          'connected again': connected,
          'first, median and last connection after': [0, waits.length >> 1, waits.length - 1]
            .map((i) => ms(waits[i] ?? 0))
            .join(', '),
          'all in sync after': ms(synced),
          'full snapshots sent again': snapshots - first,
          'cores that the controller used': cpus.toFixed(2),
        },
        marks: {
          'all are back': connected === agents && first === agents,
          'in sync within 10 s': synced <= SYNCED_MS,
          'nobody gets everything again': snapshots === first,
          'they come spread out': spread >= LONGEST_PAUSE_MS / 8,
          'the controller uses less than a core': cpus < 1,
        },
      });
    }),
};

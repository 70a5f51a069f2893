/** R20: a thousand fast senders, readers that stand still, and 150 MB for the agent. */
import { setTimeout as delay } from 'node:timers/promises';
import { cannotLimit, limitMemory } from './cgroup.ts';
import { ms, rssMib } from './measure.ts';
import { dial, serve } from './pod-sockets.ts';
import { onBench } from './world.ts';

const PORT = 9000;

export const scenario = onBench({
  name: 'memory-limited',
  title: 'R20: 150 MB for an agent, 1,000 fast senders, readers that stand still: back-pressure',
  run: async (world, { quick }, undo) => {
    const { mesh } = world;
    const reason = cannotLimit('memory');
    if (reason !== false) return { figures: { 'not run': reason }, marks: {} };
    const senders = quick ? 200 : 1000;
    // 150 MB is the aim; the short form asks for what holds, see docs/faults.md.
    const limitMib = quick ? 400 : 150;
    for (const agent of mesh.agents) limitMemory(undo, agent.pid, limitMib << 20);
    const [near, far] = [mesh.pod('shop/a1'), mesh.pod('shop/b1')];
    await serve(undo, { fd: far.fd, port: PORT }, (client) => client.pause());
    const pids = mesh.agents.map(({ pid }) => pid);
    const block = Buffer.alloc(65_536);
    let sent = 0;
    const sockets = Array.from({ length: senders }, (_, i) => {
      const address = far.addresses[i % far.addresses.length] ?? '';
      const socket = dial(undo, near, { address, port: PORT });
      const more = (): void => {
        while (!socket.destroyed && socket.write(block)) sent += block.length;
      };
      socket.on('drain', more);
      socket.on('connect', more);
      return socket;
    });
    let worst = 0;
    for (let i = 0; i < (quick ? 30 : 300); i += 1) {
      await delay(100);
      worst = Math.max(worst, ...mesh.agents.map(rssMib));
    }
    const sentThen = sent;
    await delay(1000);
    const beside = await world.during(2000);
    const alive = sockets.filter((one) => !one.destroyed).length;
    for (const socket of sockets) socket.destroy();
    const survived = pids.every(isAlive);
    return {
      figures: {
        'limit (MiB)': limitMib,
        senders: senders,
        'of them alive': alive,
        'MiB that they could send': Math.round(sent / 2 ** 20),
        'still moving after that (MiB/s)': ((sent - sentThen) / 2 ** 20).toFixed(1),
        'worst RSS of an agent (MiB)': worst,
        'p99 of the others': ms(beside.p99Ms),
        'requests of the others': beside.requests,
        'of them failed': beside.failed,
      },
      marks: {
        'no agent is killed': survived,
        'the senders are held back': alive === senders,
        'the others are served': beside.requests > 0 && beside.failed === 0,
      },
    };
  },
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

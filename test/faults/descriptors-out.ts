/** R17: an agent has no descriptors left. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../helpers/program.ts';
import { descriptors, metric, ms, msUntil } from './measure.ts';
import { dial, serve } from './pod-sockets.ts';
import { onBench } from './world.ts';

const LIMIT = 256;

export const scenario = onBench({
  name: 'descriptors-out',
  title: 'R17: the limit of 256 descriptors is reached; what stands goes on, accepting resumes',
  run: async (world, _, undo) => {
    const { mesh } = world;
    const node = mesh.net.node(1);
    const agent = mesh.agent(1);
    const [near, far] = [mesh.pod('shop/a1'), mesh.pod('shop/b1')];
    await serve(undo, { fd: far.fd, port: 9000 }, (client) => {
      client.resume();
      client.on('end', () => client.end());
    });
    // Whatever the agent itself needs must fit, or nothing would be tested but that.
    const limit = Math.max(LIMIT, descriptors(agent) + 60);
    execFileSync('prlimit', ['--pid', String(agent.pid), `--nofile=${limit}:${limit}`]);
    const before = descriptors(agent);
    await world.take();
    const address = far.addresses[0] ?? '';
    const extra = Array.from({ length: 400 }, () => dial(undo, near, { address, port: 9000 }));
    await delay(1500);
    const used = descriptors(agent);
    const standing = await world.take();
    for (const socket of extra) socket.destroy();
    const resumed = await msUntil(async () => {
      const one = dial(undo, near, { address, port: 9000 });
      await once(one, 'connect', { signal: AbortSignal.timeout(500) });
      return true;
    }, 10_000);
    // The scrape itself needs a descriptor, which it may not get before some are free.
    const paused = await eventually('the agent is scraped', async () =>
      metric(node, 'plumbline_accept_pauses_total'),
    );
    await world.settled();
    const flat = await msUntil(() => descriptors(agent) <= before + 20, 10_000);
    return {
      figures: {
        'limit of descriptors': limit,
        'in use before, at the worst, and after': `${before}, ${used} and ${descriptors(agent)}`,
        'times that accepting rested': paused,
        'requests on what stood': standing.requests,
        'of them failed': standing.failed,
        'standing connections broken': standing.broken,
        'what failed': JSON.stringify(standing.errors),
        'accepting again after': ms(resumed),
      },
      marks: {
        'the limit was reached': paused > 0,
        'what stands goes on': standing.failed + standing.broken === 0,
        'accepting resumes': resumed !== Infinity,
        'descriptors come back': flat !== Infinity,
      },
    };
  },
});

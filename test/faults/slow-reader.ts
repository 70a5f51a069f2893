/** R14: one of a hundred streams of a tunnel is read at a kilobyte a second. */
import { setTimeout as delay } from 'node:timers/promises';
import { ms, percent, rssMib } from './measure.ts';
import { dial, serve } from './pod-sockets.ts';
import { onBench } from './world.ts';

/** What may wait for a slow stream: its window, and as much again in buffers of both agents. */
const MEMORY_MIB = 4 + 12;

export const scenario = onBench({
  name: 'slow-reader',
  title: 'R14: a reader of 1 KB/s on one of 100 streams; the other 99 keep their rate',
  world: () => ({
    load: {
      pairs: [{ from: 'a1', to: 'b1' }],
      connections: 98,
      requestsPerSecond: 400,
      requestBytes: 4096,
    },
  }),
  run: async (world, { quick }, undo) => {
    const { mesh } = world;
    const spanMs = quick ? 2500 : 20_000;
    const [near, far] = [mesh.pod('shop/a1'), mesh.pod('shop/b1')];
    const before = await world.during(spanMs);
    const rssBefore = mesh.agents.map(rssMib);
    let sent = 0;
    await serve(undo, { fd: far.fd, port: 9000 }, (client) => {
      const block = Buffer.alloc(65_536);
      const more = (): void => {
        while (client.write(block)) sent += block.length;
      };
      client.on('drain', more);
      more();
    });
    const slow = dial(undo, near, { address: far.addresses[0] ?? '', port: 9000 });
    slow.pause();
    const reader = setInterval(() => slow.read(1024), 1000);
    undo.after(() => clearInterval(reader));
    await delay(500);
    const beside = await world.during(spanMs);
    const grown = mesh.agents.map((agent, i) => rssMib(agent) - (rssBefore[i] ?? 0));
    const rate = (one: typeof before): number =>
      (one.requests - one.failed) / one.seconds + one.bulkMib;
    return {
      figures: {
        'requests a second before': (before.requests / before.seconds).toFixed(1),
        'beside the slow reader': (beside.requests / beside.seconds).toFixed(1),
        'rate kept, bulk stream included': percent(rate(beside), rate(before)),
        'p99 before and beside': `${ms(before.p99Ms)} and ${ms(beside.p99Ms)}`,
        'MiB that the slow server could send': (sent / 2 ** 20).toFixed(1),
        'MiB by which the agents grew': grown.join(' and '),
      },
      marks: {
        'the others keep 95 % of their rate': rate(beside) >= 0.95 * rate(before),
        'no request fails': beside.failed === 0,
        'memory stays within the window': Math.max(...grown) <= MEMORY_MIB,
        'the slow one is slow': sent > 0,
      },
    };
  },
});

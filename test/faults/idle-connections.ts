/** R15: ten thousand idle connections, then twenty thousand. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { ms, rssMib } from './measure.ts';
import { dial, serve } from './pod-sockets.ts';
import { onBench } from './world.ts';

/** Of each agent: bookkeeping of both halves of a connection. */
const KB_PER_CONNECTION = 6;
const AT_ONCE = 200;
const PORTS = [9000, 9001];
/** Descriptors that this process needs for other things. */
const SPARE = 1000;

export const scenario = onBench({
  name: 'idle-connections',
  title: 'R15: 10,000 idle connections, then 20,000; memory, and the latency of the others',
  run: async (world, { quick }, undo) => {
    const { mesh } = world;
    // Sockets of both ends are ours, two for each connection.
    const most = Math.floor((descriptorLimit() - SPARE) / 4 / AT_ONCE) * AT_ONCE;
    const step = Math.min(quick ? 600 : 10_000, most);
    const [near, far] = [mesh.pod('shop/a1'), mesh.pod('shop/b1')];
    for (const port of PORTS) {
      await serve(undo, { fd: far.fd, port }, (client) => {
        client.write('.');
        client.resume();
      });
    }
    const spanMs = quick ? 2000 : 20_000;
    const before = await world.during(spanMs);
    const rss = [mesh.agents.map(rssMib)];
    const p99 = [before.p99Ms];
    const all: Socket[] = [];
    let failed = before.failed;
    for (const port of PORTS) {
      for (let i = 0; i < step; i += AT_ONCE) {
        const some = Array.from({ length: AT_ONCE }, (_, n) =>
          dial(undo, near, { address: far.addresses[n % far.addresses.length] ?? '', port }),
        );
        all.push(...some);
        await Promise.all(
          some.map(async (one) => once(one, 'data', { signal: AbortSignal.timeout(20_000) })),
        );
      }
      await delay(1000);
      const beside = await world.during(spanMs);
      failed += beside.failed;
      p99.push(beside.p99Ms);
      rss.push(mesh.agents.map(rssMib));
    }
    const alive = all.filter((one) => !one.destroyed).length;
    for (const one of all) one.destroy();
    const grown = mesh.agents.map((_, i) => (rss[2]?.[i] ?? 0) - (rss[0]?.[i] ?? 0));
    const kbEach = grown.map((mib) => (mib * 1024) / all.length);
    return {
      figures: {
        'descriptors that a process may have here': descriptorLimit(),
        'idle connections': all.length,
        'of them alive at the end': alive,
        'RSS of the agents at 0, half and all (MiB)': rss.map((one) => one.join('+')).join(', '),
        'KB each, by agent': kbEach.map((kb) => kb.toFixed(1)).join(' and '),
        'p99 of the others at 0, half and all': p99.map(ms).join(', '),
        'requests of the others that failed': failed,
      },
      marks: {
        'all stand': alive === all.length,
        'nothing fails': failed === 0,
        // With few connections a garbage collection weighs more than all of them.
        [`at most ${KB_PER_CONNECTION} KB each and agent`]:
          quick || Math.max(...kbEach) <= KB_PER_CONNECTION,
        'the others are not slower than 1.2 times': quick || Math.max(...p99) <= 1.2 * before.p99Ms,
      },
    };
  },
});

function descriptorLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 1024);
}

/** R22: packets are lost on the link between the nodes, or it is narrow. */
import { once } from 'node:events';
import { documents, namespace, pod } from '../helpers/mesh-yaml.ts';
import { dial, serve } from './pod-sockets.ts';
import type { Undo } from './scenario.ts';
import { onBench, type World } from './world.ts';

const PORT = 9000;
const LEAST_SHARE = 0.8;

/** Mbit/s of one stream from one pod to another, for a while. */
async function rate(world: World, undo: Undo, pair: readonly [string, string], spanMs: number) {
  const { mesh } = world;
  const address = mesh.pod(pair[1]).address4 ?? '';
  const socket = dial(undo, mesh.pod(pair[0]), { address, port: PORT });
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
  await once(socket, 'data', { signal: AbortSignal.timeout(20_000) });
  await new Promise((resolve) => setTimeout(resolve, spanMs / 2));
  bytes = 0;
  const startedAt = performance.now();
  await new Promise((resolve) => setTimeout(resolve, spanMs));
  const mbit = (bytes * 8) / 1000 / (performance.now() - startedAt);
  socket.destroy();
  return mbit;
}

const median = (values: readonly number[]): number =>
  values.toSorted((x, y) => x - y)[values.length >> 1] ?? 0;

export const scenario = onBench({
  name: 'lossy-link',
  title: 'R22: loss of 1 and 5 %, and 10 Mbit/s between the nodes, beside plain TCP',
  world: () => ({
    yaml: documents(
      namespace('plain', {}),
      pod('p1', { node: 1 }, 'plain'),
      pod('p2', { node: 2 }, 'plain'),
    ),
    load: { bulkMibPerSecond: 0, requestsPerSecond: 20, connections: 10 },
  }),
  run: async (world, { quick }, undo) => {
    const { mesh } = world;
    const node = mesh.net.node(2);
    for (const name of ['shop/b1', 'plain/p2']) {
      await serve(undo, { fd: mesh.pod(name).fd, port: PORT }, (client) => {
        const block = Buffer.alloc(262_144);
        const more = (): void => {
          while (!client.destroyed && client.write(block));
        };
        client.on('drain', more);
        more();
      });
    }
    // What the rule drops must be a packet, as a wire would lose it, and not 64 KB of a stream.
    for (const name of ['shop/a1', 'shop/b1', 'plain/p1', 'plain/p2'])
      mesh.pod(name).exec('ip link set eth0 gso_max_segs 1');
    const drop = (p: number): string =>
      `FORWARD -m statistic --mode random --probability ${p} -j DROP`;
    const narrow = 'eth0 root tbf rate 10mbit burst 32kbit latency 400ms';
    const cases: readonly (readonly [string, string, string])[] = [
      ['1 % lost', `iptables -I ${drop(0.01)}`, `iptables -D ${drop(0.01)}`],
      ['5 % lost', `iptables -I ${drop(0.05)}`, `iptables -D ${drop(0.05)}`],
      ['10 Mbit/s', `tc qdisc add dev ${narrow}`, 'tc qdisc del dev eth0 root'],
    ];
    const figures: Record<string, string> = {};
    const marks: Record<string, boolean> = {};
    const rounds = quick ? 1 : 7;
    const spanMs = quick ? 1000 : 5000;
    for (const [what, begin, end] of cases) {
      node.exec(begin);
      const ours: number[] = [];
      const plain: number[] = [];
      for (let i = 0; i < rounds; i += 1) {
        plain.push(await rate(world, undo, ['plain/p1', 'plain/p2'], spanMs));
        ours.push(await rate(world, undo, ['shop/a1', 'shop/b1'], spanMs));
      }
      node.exec(end);
      const share = median(ours) / median(plain);
      figures[`${what}: Mbit/s in the mesh, plain, share`] =
        `${median(ours).toFixed(1)}, ${median(plain).toFixed(1)}, ${share.toFixed(2)}`;
      // A second of loss is chance; only a stream that stands still is a fault then.
      marks[`${what}: the stream moves`] = Math.min(...ours) > 0;
      if (!quick) marks[`${what}: 0.8 of plain TCP`] = share >= LEAST_SHARE;
    }
    await world.settled();
    return { figures, marks };
  },
});

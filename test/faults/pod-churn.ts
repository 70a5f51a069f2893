/** R24: one pod of a service is replaced each second; what is called is never long gone. */
import { setTimeout as delay } from 'node:timers/promises';
import { documents, pod, service } from '../helpers/mesh-yaml.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';
import { ms, rssMib } from './measure.ts';
import { onBench } from './world.ts';

const REPLICAS = 3;
const STALE_MS = 1000;
const GROWTH_MIB = 12;
const PORT = 7070;

export const scenario = onBench({
  name: 'pod-churn',
  title: 'R24: a pod is replaced each second for ten minutes, under load',
  world: ({ quick }) => ({ isLight: quick }),
  run: async (world, { quick }, undo) => {
    const { mesh } = world;
    const rounds = quick ? 6 : 600;
    const yamlOf = (first: number): string =>
      documents(
        world.yaml,
        service('each', 'each', 80, {
          clusterIPs: ['10.32.0.10', 'fd00:32::10'],
          ports: [{ name: 'main', port: 80, targetPort: PORT }],
        }),
        ...Array.from({ length: REPLICAS }, (_, i) =>
          pod(`each-${first + i}`, { node: 2, account: 'b1', labels: { app: 'each' } }),
        ),
      );
    const serveIn = async (n: number): Promise<void> => {
      await greeter(undo, mesh.pod(`shop/each-${n}`).fd, PORT);
      await mesh.report(`shop/each-${n}`, { ready: true });
    };
    await mesh.write(yamlOf(0));
    await mesh.proven();
    for (let i = 0; i < REPLICAS; i += 1) await serveIn(i);
    const call = { good: 0, bad: new Array<number>(), isOver: false };
    const from = mesh.pod('shop/a1').fd;
    const client = async (): Promise<void> => {
      while (!call.isOver) {
        const startedAt = performance.now();
        await greet(from, '10.32.0.10', 80).then(
          () => (call.good += 1),
          () => call.bad.push(startedAt),
        );
        await delay(10);
      }
    };
    const calls = client();
    await world.take();
    let stale = 0;
    let rssStart = mesh.agents.map(rssMib);
    for (let round = 1; round <= rounds; round += 1) {
      const startedAt = performance.now();
      const changed = mesh.write(yamlOf(round));
      await changed;
      const removedAt = performance.now();
      await serveIn(round + REPLICAS - 1);
      await mesh.proven([2]);
      await delay(Math.max(0, 1000 - (performance.now() - startedAt)));
      const late = call.bad.filter((at) => at > removedAt + STALE_MS).length;
      stale += late;
      // The first rounds fill pools and code caches.
      if (round === Math.ceil(rounds / 3)) rssStart = mesh.agents.map(rssMib);
    }
    call.isOver = true;
    await calls;
    const grown = mesh.agents.map((agent, i) => rssMib(agent) - (rssStart[i] ?? 0));
    const { requests, failed } = await world.take();
    const lost = call.bad.length;
    return {
      figures: {
        'pods replaced': rounds,
        'calls of the service': call.good + lost,
        'of them failed, all within 1 s of a removal': lost - stale,
        'failed later than that': stale,
        'requests between other pods': requests,
        'of them failed ': failed,
        'MiB by which the agents grew since a third of it': grown.join(' and '),
        'a change lasts at most': ms(STALE_MS),
      },
      marks: {
        'no stale endpoint after 1 s': stale === 0,
        'other traffic goes on': failed === 0,
        'memory stays': Math.max(...grown) <= GROWTH_MIB,
        'the service was called': call.good > rounds * 10,
      },
    };
  },
});

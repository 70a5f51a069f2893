/** A data worker of an agent with two dies, under load; then three die within a minute. */
import { setTimeout as delay } from 'node:timers/promises';
import { metric, ms, msUntil } from './measure.ts';
import { onBench } from './world.ts';

const SERVED_AGAIN_MS = 100;

export const scenario = onBench({
  name: 'worker-killed',
  title: 'a data worker dies; another accepts within 100 ms, and repeated deaths are said',
  world: () => ({
    agentFlags: () => ['--workers', '2', '--test-hooks'],
    load: { fresh: { perSecond: 100, pairs: [{ from: 'a1', to: 'b1' }] } },
  }),
  run: async (world, { quick }) => {
    const { mesh } = world;
    const node = mesh.net.node(1);
    const deaths = async (): Promise<number> => metric(node, 'plumbline_worker_deaths_total');
    const end = async (worker: number): Promise<void> => {
      await mesh
        .agent(1)
        .ask(`/test/end-worker?worker=${worker}`, 'POST')
        .catch(() => undefined);
    };
    const usual = await world.during(1000);
    // The everyday suite shares its machine.
    const limitMs = SERVED_AGAIN_MS + (quick ? 900 + 3 * usual.freshWorstMs : 0);
    await end(0);
    const died = await msUntil(async () => (await deaths()) === 1, 5000);
    await delay(1500);
    const first = await world.take();
    const isReady = (): boolean => node.succeeds('curl -sf http://127.0.0.1:15021/healthz/ready');
    const wasReady = isReady();
    await end(1);
    await msUntil(async () => (await deaths()) === 2, 5000);
    await delay(1000);
    await end(0);
    await msUntil(async () => (await deaths()) === 3, 5000);
    await delay(1000);
    const isSaid = !isReady();
    await delay(1000);
    const sofar = await deaths();
    const { fresh, freshFailed } = await world.during(1000);
    return {
      figures: {
        'the death was noticed after': ms(died),
        'new connections refused for': ms(first.refusedMs),
        'longest from one new connection to the next': ms(first.gapMs),
        'slowest new connection': ms(first.freshWorstMs),
        'requests that failed with it': first.failed,
        'standing connections that ended with it': first.broken,
        'deaths after three were ordered': sofar,
        'new connections after the third': fresh,
        'of them failed': freshFailed,
      },
      marks: {
        [`new connections work within ${limitMs} ms`]:
          Math.max(first.refusedMs, first.freshWorstMs) <= limitMs,
        'only its own connections end': first.broken > 0 && first.broken < 40,
        'one death is no alarm, three are': wasReady && isSaid,
        'no loop begins': sofar === 3,
        'the other worker serves all': fresh > 0 && freshFailed === 0,
      },
    };
  },
});

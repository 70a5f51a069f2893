/** R1: the agent of a node is killed and started again, over and over. */
import { setTimeout as delay } from 'node:timers/promises';
import { ms } from './measure.ts';
import { ACROSS, onBench } from './world.ts';

export const scenario = onBench({
  name: 'agent-killed',
  title: 'R1: an agent is killed and started again; what fails, and for how long',
  world: () => ({ load: { fresh: { perSecond: 100, pairs: ACROSS } } }),
  run: async (world, { quick }) => {
    const times = quick ? 2 : 20;
    // The everyday suite shares its machine, and starting Node is what takes the time.
    const limits = quick ? { refused: 8000, back: 10_000 } : { refused: 500, back: 1000 };
    const refused: number[] = [];
    const back: number[] = [];
    for (let i = 0; i < times; i += 1) {
      const node = 1 + (i % 2);
      await world.during(300);
      await world.mesh.agent(node).end('SIGKILL');
      world.mesh.agent(node).start();
      await world.mesh.proven();
      await delay(2500);
      const { refusedMs, troubledMs, requests } = await world.take();
      if (requests === 0) throw new Error('the load stands still');
      refused.push(refusedMs);
      back.push(troubledMs);
    }
    refused.sort((x, y) => x - y);
    back.sort((x, y) => x - y);
    const worst = { refused: refused.at(-1) ?? 0, back: back.at(-1) ?? 0 };
    return {
      figures: {
        'times killed': times,
        'new connections refused, median': ms(refused[times >> 1] ?? 0),
        'new connections refused, worst': ms(worst.refused),
        'last request that failed or was slow, median': ms(back[times >> 1] ?? 0),
        'last request that failed or was slow, worst': ms(worst.back),
      },
      marks: {
        [`new connections work again within ${limits.refused} ms`]: worst.refused <= limits.refused,
        [`everything works again within ${limits.back} ms`]: worst.back <= limits.back,
        'it was felt': worst.refused > 0,
      },
    };
  },
});

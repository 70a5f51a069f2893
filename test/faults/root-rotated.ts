/** R10: the root of the mesh is replaced under load. */
import { setTimeout as delay } from 'node:timers/promises';
import { ms, msUntil } from './measure.ts';
import { ACROSS, onBench, type World } from './world.ts';

async function phase(world: World): Promise<string> {
  const { phase: now } = await world.mesh.controller.ask<{ phase: string }>('/v1/ca');
  return now;
}

export const scenario = onBench({
  name: 'root-rotated',
  title: 'R10: the root is replaced, old to both to new, under load',
  world: ({ quick }) => ({
    controllerFlags: quick ? ['--rotation-settle', '500ms'] : [],
    load: { fresh: { perSecond: 50, pairs: ACROSS } },
  }),
  run: async (world, { quick }) => {
    await world.take();
    let longest = 0;
    for (let i = 0; i < (quick ? 1 : 3); i += 1) {
      await world.mesh.controller.ask('/v1/ca/rotate', 'POST');
      longest = Math.max(
        longest,
        await msUntil(async () => (await phase(world)) === 'stable', 180_000),
      );
      await delay(1000);
    }
    const { requests, failed, fresh, freshFailed } = await world.take();
    return {
      figures: {
        'longest rotation': ms(longest),
        'requests and new connections': requests + fresh,
        'of them failed': failed + freshFailed,
      },
      marks: {
        'it ends': longest !== Infinity,
        'nothing fails': failed + freshFailed === 0,
      },
    };
  },
});

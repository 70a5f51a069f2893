/** R6: the controller is gone for long, and agents are restarted meanwhile. */
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../helpers/program.ts';
import { ACROSS, onBench } from './world.ts';

const TEN_MINUTES_MS = 600_000;

interface Certificate {
  readonly state: string;
  readonly notAfterMs: number;
}

export const scenario = onBench({
  name: 'controller-away',
  title: 'R6: the controller is gone for ten minutes; agents are killed and started meanwhile',
  world: () => ({ load: { fresh: { perSecond: 20, pairs: ACROSS } } }),
  run: async (world, { quick }) => {
    const { mesh } = world;
    await eventually('the state is saved', async () => mesh.saved());
    await mesh.controller.end('SIGKILL');
    const away = await world.during(quick ? 1000 : TEN_MINUTES_MS / 2);
    for (const node of [1, 2]) {
      await mesh.agent(node).end('SIGKILL');
      mesh.agent(node).start();
      await world.settled();
    }
    const restarted = await world.during(quick ? 1000 : TEN_MINUTES_MS / 2);
    await mesh.proven();
    const certificates = await mesh.agent(1).ask<Certificate[]>('/certificates');
    const worksMs = Math.min(...certificates.map(({ notAfterMs }) => notAfterMs)) - Date.now();
    mesh.controller.start();
    await eventually('agents are connected again', async () => {
      const agents = await mesh.controller.ask<unknown[]>('/v1/agents');
      if (agents.length < 2) throw new Error(`${agents.length} are`);
    });
    await delay(500);
    const back = await world.take();
    const failed = [away, restarted, back].map((one) => one.failed + one.freshFailed);
    return {
      figures: {
        'failed while it was away': failed[0] ?? 0,
        'failed after the agents were restarted': failed[1] ?? 0,
        'failed while it came back': failed[2] ?? 0,
        'requests and new connections': away.requests + away.fresh + restarted.requests,
        'certificates last for': `${(worksMs / 3_600_000).toFixed(1)} h more`,
      },
      marks: {
        'nothing known fails': failed.every((n) => n === 0),
        'agents say until when it works': worksMs > 0,
      },
    };
  },
});

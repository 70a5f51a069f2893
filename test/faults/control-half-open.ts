/** R8: packets between an agent and the controller vanish, both ways, without a FIN. */
import { ms, msUntil } from './measure.ts';
import { onBench } from './world.ts';

const NOTICED_MS = 30_000;

export const scenario = onBench({
  name: 'control-half-open',
  title: 'R8: the control channel goes half-open; both ends notice, and traffic goes on',
  world: ({ quick }) => ({ isLight: quick }),
  run: async (world) => {
    const { mesh } = world;
    const node = mesh.net.node(2);
    const agents = async (): Promise<number> =>
      (await mesh.controller.ask<unknown[]>('/v1/agents')).length;
    const isConnected = async (): Promise<boolean> =>
      (await mesh.agent(2).ask<{ control: { state: string } }>('/version')).control.state ===
      'connected';
    await world.take();
    for (const rule of ['OUTPUT -p tcp --dport 15012', 'INPUT -p tcp --sport 15012'])
      node.exec(`iptables -I ${rule} -j DROP`);
    const [atAgent, atController] = await Promise.all([
      msUntil(async () => !(await isConnected()), NOTICED_MS + 5000),
      msUntil(async () => (await agents()) < 2, NOTICED_MS + 5000),
    ]);
    for (const rule of ['OUTPUT -p tcp --dport 15012', 'INPUT -p tcp --sport 15012'])
      node.exec(`iptables -D ${rule} -j DROP`);
    const back = await msUntil(async () => (await agents()) === 2, 40_000);
    const { failed, requests } = await world.take();
    return {
      figures: {
        'noticed by the agent after': ms(atAgent),
        'noticed by the controller after': ms(atController),
        'connected again after': ms(back),
        'requests meanwhile': requests,
        'of them failed': failed,
      },
      marks: {
        'both ends notice within 30 s': Math.max(atAgent, atController) <= NOTICED_MS,
        'the agent comes back': back !== Infinity,
        'traffic goes on': failed === 0,
      },
    };
  },
});

/** R2: an agent is replaced in order, over and over: no new connection fails. */
import { ms } from './measure.ts';
import { ACROSS, onBench } from './world.ts';

export const scenario = onBench({
  name: 'agent-replaced',
  title: 'R2: an agent is replaced by a successor; every new connection succeeds',
  world: () => ({
    agentFlags: () => ['--drain', '1s'],
    load: { fresh: { perSecond: 100, pairs: ACROSS } },
  }),
  run: async (world, { quick }) => {
    const { mesh } = world;
    const times = quick ? 2 : 50;
    await world.take();
    let fresh = 0;
    let failed = 0;
    let slowest = 0;
    const errors: Record<string, number> = {};
    for (let i = 0; i < times; i += 1) {
      const node = 1 + (i % 2);
      const old = mesh.agent(node);
      const next = mesh.successor(node);
      next.start();
      const code = await old.exit();
      if (code !== 0) throw new Error(`the old agent ended with ${code}`);
      mesh.replaceAgent(node, next);
      const window = await world.take();
      fresh += window.fresh;
      failed += window.freshFailed;
      slowest = Math.max(slowest, window.freshWorstMs);
      for (const [why, n] of Object.entries(window.errors)) errors[why] = (errors[why] ?? 0) + n;
    }
    await mesh.proven();
    return {
      figures: {
        'times replaced': times,
        'new connections': fresh,
        'of them failed': failed,
        'slowest new connection': ms(slowest),
        'what failed': JSON.stringify(errors),
      },
      marks: {
        'every new connection succeeds': failed === 0 && fresh > times * 50,
      },
    };
  },
});

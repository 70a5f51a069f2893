/** R16: 72,000 new connections in a minute. */
import { cpuSeconds, ms } from './measure.ts';
import { ACROSS, onBench } from './world.ts';

export const scenario = onBench({
  name: 'connection-spike',
  title: 'R16: 72,000 new connections in 60 s; all served, with at most 2 CPUs',
  world: ({ quick }) => ({
    load: { bulkMibPerSecond: 0, fresh: { perSecond: quick ? 400 : 1200, pairs: ACROSS } },
  }),
  run: async (world, { quick }) => {
    const pids = world.mesh.agents.map(({ pid }) => pid);
    const used = (): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
    await world.take();
    const before = used();
    const window = await world.during(quick ? 4000 : 60_000);
    const cpus = (used() - before) / window.seconds;
    const { fresh, freshFailed, failed, freshP99Ms, errors } = window;
    return {
      figures: {
        'new connections': fresh,
        'each second': Math.round(fresh / window.seconds),
        'of them failed': freshFailed,
        'their p99, answer included': ms(freshP99Ms),
        'other requests that failed': failed,
        'CPUs of both agents': cpus.toFixed(2),
        'what failed': JSON.stringify(errors),
      },
      marks: {
        'all served': freshFailed + failed === 0,
        'at the rate asked': fresh / window.seconds >= (quick ? 100 : 1150),
        'at most 2 CPUs': cpus <= 2,
      },
    };
  },
});

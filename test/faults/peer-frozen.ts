/** R3: the agent of the other node stands still, and goes on later. */
import { setTimeout as delay } from 'node:timers/promises';
import { descriptors, ms, msUntil } from './measure.ts';
import { onBench } from './world.ts';

/** Twenty seconds of silence, noticed by a tick each second. */
const NOTICED_MS = 21_500;
/** Each thread keeps a namespace at hand, and reads files now and then. */
const SLACK = 8;

export const scenario = onBench({
  name: 'peer-frozen',
  title: 'R3: an agent is stopped for 30 s; its peers notice dead tunnels, and nothing leaks',
  world: ({ quick }) => ({ isLight: quick }),
  run: async (world, { quick }) => {
    const { mesh } = world;
    const [near, far] = [mesh.agent(1), mesh.agent(2)];
    const before = [near, far].map(descriptors);
    const lost = (): number => near.access({ code: 'TUNNEL_LOST' }).length;
    const lostBefore = lost();
    process.kill(far.pid, 'SIGSTOP');
    const stoppedAt = performance.now();
    const noticed = await msUntil(() => lost() > lostBefore, NOTICED_MS + 5000);
    await delay(Math.max(0, (quick ? 24_000 : 30_000) - (performance.now() - stoppedAt)));
    process.kill(far.pid, 'SIGCONT');
    const resumedAt = performance.now();
    await world.settled();
    const resumed = performance.now() - resumedAt;
    const flat = await msUntil(
      () => [near, far].every((one, i) => descriptors(one) <= (before[i] ?? 0) + SLACK),
      20_000,
    );
    return {
      figures: {
        'dead tunnels noticed after': ms(noticed),
        'connections told of it': lost() - lostBefore,
        'requests all answered again, after SIGCONT': ms(resumed),
        'descriptors before': before.join(' and '),
        'descriptors after': [near, far].map(descriptors).join(' and '),
      },
      marks: {
        'noticed by PING within 21.5 s': noticed <= NOTICED_MS,
        'nothing leaks': flat !== Infinity,
      },
    };
  },
});

/** R9: short-lived certificates; a CA that is slow, and one that is away until they have expired. */
import { setTimeout as delay } from 'node:timers/promises';
import type { LogLine } from '../helpers/program.ts';
import { ms, msUntil } from './measure.ts';
import { ACROSS, onBench, type World } from './world.ts';

const SLOW_MS = 5000;

interface Certificate {
  readonly state: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly renewAtMs: number;
}

async function certificates(world: World): Promise<Certificate[]> {
  return (await Promise.all([1, 2].map(async (n) => rows(world, n)))).flat();
}

async function rows(world: World, node: number): Promise<Certificate[]> {
  return world.mesh.agent(node).ask<Certificate[]>('/certificates');
}

function renewals(world: World): number {
  const isRenewal = (line: LogLine): boolean =>
    line['message'] === 'certificate in force' || line['msg'] === 'certificate in force';
  return world.mesh.agents.flatMap(({ lines }) => lines.filter(isRenewal)).length;
}

export const scenario = onBench({
  name: 'certificate-expiry',
  title: 'R9: certificates live a minute; the CA is slow, then away beyond their end',
  world: ({ quick }) => ({
    isLight: quick,
    controllerFlags: ['--leaf-life', quick ? '30s' : '60s'],
    load: { fresh: { perSecond: 20, pairs: ACROSS } },
  }),
  run: async (world, { quick }) => {
    const { mesh } = world;
    const lifeMs = quick ? 30_000 : 60_000;
    const shares = (await certificates(world)).map(
      ({ renewAtMs, notAfterMs }) => 1 - (notAfterMs - renewAtMs) / lifeMs,
    );
    // From one renewal to the next, with the CA held up for five seconds in the middle of it.
    await world.take();
    await delay(lifeMs * 0.4);
    process.kill(mesh.controller.pid, 'SIGSTOP');
    await delay(SLOW_MS);
    process.kill(mesh.controller.pid, 'SIGCONT');
    await delay(lifeMs * (quick ? 0.3 : 2));
    const answering = await world.take();
    const renewed = renewals(world) - shares.length;
    await mesh.controller.end('SIGKILL');
    const allExpired = await msUntil(
      async () => (await certificates(world)).every(({ state }) => state !== 'valid'),
      lifeMs + 10_000,
    );
    await delay(1000);
    const expired = await world.during(2000);
    mesh.controller.start();
    const recovered = await msUntil(async () => {
      const { fresh, freshFailed } = await world.during(500);
      return fresh > 0 && freshFailed === 0;
    }, 70_000);
    return {
      figures: {
        'renewal after this share of the life': `${Math.min(...shares).toFixed(2)} to ${Math.max(...shares).toFixed(2)}`,
        'renewals while the CA answered': renewed,
        'failed while the CA answered': answering.failed + answering.freshFailed,
        'requests and new connections then': answering.requests + answering.fresh,
        'expired, after the CA went away': ms(allExpired),
        'new connections after expiry': expired.fresh,
        'of them served': expired.fresh - expired.freshFailed,
        'served again, after the CA came back': ms(recovered),
      },
      marks: {
        'renewed between 50 and 70 % of the life':
          Math.min(...shares) >= 0.49 && Math.max(...shares) <= 0.71,
        'certificates were renewed': renewed >= shares.length,
        'nothing fails while the CA answers': answering.failed + answering.freshFailed === 0,
        'after expiry nobody is served': expired.fresh > 0 && expired.fresh === expired.freshFailed,
        'it recovers without a restart': recovered !== Infinity,
      },
    };
  },
});

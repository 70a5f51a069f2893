/** R4: somebody changes or flushes a pod's rules while its traffic runs. */
import { setTimeout as delay } from 'node:timers/promises';
import { ms, msUntil } from './measure.ts';
import { ACROSS, onBench, type World } from './world.ts';

const CONTESTED_MS = 45_000;
const REPAIRED_MS = 2000;

const damages = (program: string): readonly (readonly [string, string])[] => [
  ['nat flushed', `${program} -t nat -F`],
  ['a rule removed', `${program} -t nat -D PLUMB_OUTPUT 4`],
  ['the order changed', `${program} -t nat -I PLUMB_OUTPUT 2 -p tcp -j RETURN`],
  [
    'a foreign chain first',
    `${program} -t nat -N FOREIGN; ${program} -t nat -I OUTPUT -p tcp -j FOREIGN`,
  ],
];

async function repairs(world: World, name: string): Promise<number> {
  const row = (await world.mesh.proof(1)).find((one) => one.name === name);
  return row?.capture?.repairs ?? 0;
}

export const scenario = onBench({
  name: 'capture-damaged',
  title: 'R4: rules of a pod are flushed, removed, reordered; repaired, and closed meanwhile',
  world: () => ({ load: { fresh: { perSecond: 50, pairs: ACROSS } } }),
  run: async (world, { quick, family }) => {
    const { mesh } = world;
    const all = [
      ...(family === '6' ? [] : damages('iptables')),
      ...(family === '4' ? [] : damages('ip6tables')),
    ];
    const took: number[] = [];
    const figures: Record<string, string> = {};
    for (let round = 0; round < (quick ? 1 : 5); round += 1) {
      for (const [what, how] of all) {
        const before = await repairs(world, 'a1');
        mesh.pod('shop/a1').exec(how);
        const span = await msUntil(async () => (await repairs(world, 'a1')) > before, 10_000);
        took.push(span);
        figures[`${how.split(' ')[0]}: ${what}, repaired after`] = ms(span);
        await delay(100);
      }
    }
    // Damaged so often, the pod must first be left alone for half a minute.
    await mesh.proven(undefined, CONTESTED_MS);
    await world.settled();
    return {
      figures: { ...figures, worst: ms(Math.max(...took)) },
      marks: { 'repaired within 2 s': Math.max(...took) <= REPAIRED_MS },
    };
  },
});

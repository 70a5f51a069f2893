/**
 * R5: a pod that is busy joins the mesh and leaves it, over and over.
 *
 * It talks to pods of its own node, so that what it says outside the mesh crosses no wire.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { documents, pod } from '../helpers/mesh-yaml.ts';
import { ms, percent } from './measure.ts';
import { onBench } from './world.ts';

/** What was captured goes on for so long after the pod has left. */
const DRAIN_MS = 1000;

const PAIRS = [
  { from: 'c1', to: 'a1' },
  { from: 'a2', to: 'c1' },
];

export const scenario = onBench({
  name: 'enrolment',
  title: 'R5: a busy pod joins and leaves the mesh, over and over',
  world: () => ({
    extra: { c1: 1 },
    mtls: 'PERMISSIVE',
    agentFlags: () => ['--drain', `${DRAIN_MS}ms`],
    load: { pairs: PAIRS, connections: 20, fresh: { perSecond: 100, pairs: PAIRS } },
  }),
  run: async (world, { quick, family }) => {
    const { mesh } = world;
    const times = quick ? 4 : 100;
    const labels = family === undefined ? {} : { 'test/families': family };
    const outside = { ...labels, 'plumbline.dev/dataplane-mode': 'none' };
    const of = (isIn: boolean): string =>
      world.yaml
        .split('\n---\n')
        .map((one) =>
          one.includes('"name": "c1"') && one.includes('"Pod"')
            ? pod('c1', { node: 1, account: 'c1', labels: isIn ? labels : outside })
            : one,
        )
        .join('\n---\n');
    await world.take();
    const startedAt = performance.now();
    for (let i = 0; i < times; i += 1) {
      await mesh.write(documents(of(false)));
      await mesh.proven();
      await delay(100);
      await mesh.write(documents(of(true)));
      await mesh.proven();
      await delay(50);
    }
    const each = (performance.now() - startedAt) / (2 * times);
    const { requests, failed, fresh, freshFailed, broken, freshWorstMs, errors } =
      await world.take();
    const bad = failed + freshFailed;
    const all = requests + fresh;
    return {
      figures: {
        'times out and in again': times,
        'one change, with its proof': ms(each),
        'requests and new connections': all,
        'of them failed': bad,
        succeeded: percent(all - bad, all),
        'standing connections broken': broken,
        'slowest new connection': ms(freshWorstMs),
        'what failed': JSON.stringify(errors),
      },
      marks: { 'at least 99.9 % succeed': bad <= all * 0.001 },
    };
  },
});

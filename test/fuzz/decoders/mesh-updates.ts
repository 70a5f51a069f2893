/**
 * Packed mesh updates: what main posts to its workers, and the file that an agent left on disk.
 *
 * Damaged bytes are `MESSAGE_INVALID` and change nothing; whatever is taken can be read, spelled out
 * and packed again.
 */
import { packUpdate } from '../../../common/mesh/pack.ts';
import { View } from '../../../common/mesh/view.ts';
import type { Policy } from '../../../common/mesh/policy.ts';
import {
  backs,
  delta,
  localPod,
  replicas,
  service,
  snapshot,
  workload,
} from '../../helpers/mesh-build.ts';
import { randomFrom, randomPolicy } from '../../helpers/mesh-random.ts';
import { must, outcomeOf, type Decoder } from '../decoder.ts';
import { mutateBytes } from '../mutate.ts';

const cart = service('cart', { addresses: ['10.32.0.1', 'fd10::/64'] });
const pod = workload('web', { addresses: ['10.0.0.9', 'fd00::9'] });
const random = randomFrom(7);
const policies: Policy[] = Array.from({ length: 4 }, (_, i) => randomPolicy(random, `p${i}`));
const base = packUpdate(
  snapshot({
    workloads: replicas('cart', { count: 3, prefix: '10.0.1.', ...backs(cart) }),
    services: [cart],
  }),
);

const seeds = [
  base,
  packUpdate(snapshot({ workloads: [pod], pods: [localPod(pod)], policies })),
  packUpdate(delta({ workloads: [pod], removed: { workloads: ['x'], services: [cart.key] } }, 2)),
  packUpdate(delta({ removed: { pods: ['a'], policies: ['b'] } }, 9)),
].map((bytes) => Buffer.from(bytes));

function run(input: Buffer): string {
  const view = new View();
  view.apply(base);
  return outcomeOf(['MESSAGE_INVALID'], () => {
    try {
      view.apply(input);
    } catch (error) {
      must(view.version === 1 && view.sizes().workloads === 3, 'a part of it was used');
      throw error;
    }
    const spelled = view.snapshot();
    must(spelled.workloads.length === view.sizes().workloads, 'workloads are missing');
    for (const { addresses } of spelled.workloads) {
      for (const address of addresses) view.workloadAt(address);
    }
    return 'read';
  });
}

export const meshUpdates: Decoder = {
  name: 'mesh-updates',
  seeds,
  mutate: mutateBytes,
  run,
  costly: {
    '64 KB of workloads': Buffer.from(
      packUpdate(snapshot({ workloads: replicas('many', { count: 1500, prefix: 'fd00::' }) })),
    ),
  },
  // 1,500 workloads are put into their columns, spelled out again and looked up.
  budgetMs: 20,
};

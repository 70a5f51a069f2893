/** The promises about size that need no clock; test/bench/mesh-scale.ts has those that do. */
import { test } from 'tap';
import { packUpdate } from '#common/mesh/pack.ts';
import { View } from '#common/mesh/view.ts';
import { backs, delta, service, snapshot, workload } from '../../helpers/mesh-build.ts';

const COUNT = 10_000;

const cart = service('cart');

function pod(number: number, revision = 0): ReturnType<typeof workload> {
  return workload(`cart-7c9fdb6b5d-${number.toString(36).padStart(5, 'x')}`, {
    canonicalName: 'cart',
    workloadName: 'cart',
    serviceAccount: 'cart',
    canonicalRevision: `v${revision}`,
    node: `node-${number % 200}`,
    addresses: [
      `10.${64 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`,
      `fd00:64::${number.toString(16)}`,
    ],
    ...backs(cart),
  });
}

test('a workload takes at most 200 bytes of columns, also after many changes', async (t) => {
  const view = new View();
  const pods = Array.from({ length: COUNT }, (_, i) => pod(i));
  view.apply(packUpdate(snapshot({ workloads: pods })));
  t.ok(view.workloadTable.bytes / pods.length < 200, `${view.workloadTable.bytes / pods.length}`);
  // Five generations of pods come and go: what goes must make room for what comes.
  for (let round = 1; round <= 5; round += 1) {
    const next = Array.from({ length: COUNT }, (_, i) => pod(COUNT * round + i, round));
    for (let i = 0; i < COUNT; i += 1000) {
      const gone = Array.from({ length: 1000 }, (_, n) => pod(COUNT * (round - 1) + i + n).uid);
      const workloads = next.slice(i, i + 1000);
      const version = round * 100 + i / 1000 + 2;
      view.apply(packUpdate(delta({ workloads, removed: { workloads: gone } }, version)));
    }
  }
  t.equal(view.sizes().workloads, COUNT);
  t.ok(view.workloadTable.bytes / COUNT < 250, `${view.workloadTable.bytes / COUNT}`);
  t.equal(view.workloadTable.backing(cart.key)?.shapes.length, 1);
});

test('a packed workload takes little more than its uid and its addresses', async (t) => {
  const pods = Array.from({ length: 1000 }, (_, i) => pod(i));
  const uids = pods.reduce((sum, { uid }) => sum + uid.length, 0);
  const packed = packUpdate(snapshot({ workloads: pods }));
  t.ok(packed.length < uids + 1000 * (22 + 8) + 4000, `${packed.length} for ${uids}`);
});

/** Updates on their way into a worker's view, on a real loop. */
import { test, type Test } from 'tap';
import { Loop } from '#common/engine/loop.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import { View } from '#common/mesh/view.ts';
import { Updates } from '../../../node-agent/data/updates.ts';
import { delta, replicas, service, snapshot } from '../../helpers/mesh-build.ts';

const cart = service('cart', { addresses: ['10.32.0.1'] });
const many = (count: number) => replicas('cart', { count, prefix: 'fd00::' });
const LARGE = 5000;

function setUp(t: Test, isEmpty: boolean) {
  const loop = new Loop({ onError: (error) => t.fail(String(error)) });
  t.teardown(() => loop.close());
  const view = new View();
  view.apply(packUpdate(snapshot({ workloads: many(1) })));
  const log: string[] = [];
  const updates = new Updates({
    loop,
    view,
    live: { isEmpty },
    applied: ({ version }) => log.push(`applied ${version}`),
    failed: (error) => log.push(`failed ${error instanceof Error ? error.message : ''}`),
  });
  return { loop, view, log, updates };
}

test('a large snapshot is built in portions, and what comes after it waits', async (t) => {
  const { loop, view, log, updates } = setUp(t, false);
  updates.add(packUpdate({ ...snapshot({ workloads: many(LARGE) }), version: 7 }));
  updates.add(packUpdate(delta({ services: [cart] }, 8)));
  updates.whenApplied(() => log.push('settled'));
  let passes = 0;
  let longest = 0;
  let lastSeen = 0;
  while (log.length < 3 && passes < 5000) {
    t.equal(view.sizes().workloads, 1, 'the view in force is the old one');
    lastSeen = performance.now();
    loop.pass(100);
    longest = Math.max(longest, performance.now() - lastSeen);
    passes += 1;
  }
  t.strictSame(log, ['applied 7', 'applied 8', 'settled']);
  t.equal(view.sizes().workloads, LARGE);
  t.equal(view.sizes().services, 1);
  t.ok(passes > 5, `${passes} passes, the longest of ${longest.toFixed(1)} ms`);
});

test('a worker without connections does not wait between portions', async (t) => {
  const { loop, view, log, updates } = setUp(t, true);
  updates.add(packUpdate({ ...snapshot({ workloads: many(LARGE) }), version: 7 }));
  let passes = 0;
  while (log.length < 1 && passes < 1000) {
    loop.pass(0);
    passes += 1;
  }
  t.strictSame(log, ['applied 7']);
  t.equal(view.sizes().workloads, LARGE);
});

test('small snapshots and changes are in force at once', async (t) => {
  const { view, log, updates } = setUp(t, false);
  updates.add(packUpdate({ ...snapshot({ workloads: many(2) }), version: 7 }));
  t.equal(view.sizes().workloads, 2);
  updates.add(packUpdate(delta({ services: [cart] }, 8)));
  t.strictSame(log, ['applied 7', 'applied 8']);
});

test('a damaged snapshot changes nothing, and the next update is applied', async (t) => {
  const { loop, view, log, updates } = setUp(t, false);
  const packed = packUpdate({ ...snapshot({ workloads: many(LARGE) }), version: 7 });
  updates.add(packed.subarray(0, packed.length - 1));
  updates.add(packUpdate(delta({ services: [cart] }, 8)));
  for (let passes = 0; log.length < 2 && passes < 5000; passes += 1) loop.pass(100);
  t.match(log, [/^failed Cannot read a packed mesh update/, 'applied 8']);
  t.strictSame(view.sizes(), { workloads: 1, services: 1, policies: 0, pods: 0 });
});

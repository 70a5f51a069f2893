import { test } from 'tap';
import { decodeControllerMessage } from '#common/control/schema.ts';
import { Assembly } from '#common/control/assembly.ts';
import { identityOf } from '#common/identity.ts';
import type { Policy } from '#common/mesh/policy.ts';
import type { Service } from '#common/mesh/service.ts';
import type { Workload } from '#common/mesh/workload.ts';
import type { PlacedPod } from '../../../controller/model/diff.ts';
import { MeshState, type Difference } from '../../../controller/push/mesh-state.ts';
import { partsOf } from '../../../controller/push/parts.ts';
import { diff, Holder, podOn } from '../../helpers/control-rig.ts';
import { localPod, policy, service, workload } from '../../helpers/mesh-build.ts';

const trustDomain = 'cluster.local';

/** Sends a difference through JSON, decoder and assembly, as to an agent. */
function deliver(to: Holder, difference: Difference, node: string): void {
  const assembly = new Assembly();
  for (const pieces of partsOf(difference, node)) {
    const message = decodeControllerMessage(pieces.map(String).join(''));
    if (message.type !== 'update') throw new Error('not an update');
    const whole = assembly.add(message);
    if (whole !== undefined) to.apply(whole);
  }
}

function holds(holder: Holder, kind: 'workloads' | 'services' | 'policies' | 'pods'): string[] {
  return [...holder[kind].keys()].toSorted();
}

test('MeshState tells a node of policies that select its own workloads, and of no other', async (t) => {
  const state = new MeshState({ trustDomain });
  const selected = policy('selected', { scope: 'selector' });
  const policies = [
    policy('mesh', { scope: 'mesh' }),
    policy('here', { namespace: 'shop' }),
    policy('there', { namespace: 'bank' }),
    selected,
  ];
  const a = podOn('a', 'cart', { policies: [selected.key] });
  const b = podOn('b', 'vault', { namespace: 'bank' });
  state.apply(
    diff({
      policies,
      workloads: [...a.workloads, ...b.workloads],
      pods: [...a.pods, ...b.pods],
    }),
  );
  const [onA, onB] = [new Holder(), new Holder()];
  deliver(onA, state.snapshot('a'), 'a');
  deliver(onB, state.snapshot('b'), 'b');
  t.strictSame(holds(onA, 'policies'), [
    'authorization/shop/here',
    'authorization/shop/mesh',
    'authorization/shop/selected',
  ]);
  t.strictSame(holds(onB, 'policies'), ['authorization/bank/there', 'authorization/shop/mesh']);
  t.strictSame(holds(onA, 'pods'), [a.pods[0]?.pod.uid]);
  t.strictSame(holds(onB, 'pods'), [b.pods[0]?.pod.uid]);
  t.match(onA.workloads.get(a.workloads[0]?.uid ?? ''), { policies: [selected.key] });
  t.match(onB.workloads.get(a.workloads[0]?.uid ?? ''), { policies: [] }, 'not its business');
});

test('MeshState shows a private service only where its namespace has a pod', async (t) => {
  const state = new MeshState({ trustDomain });
  const hidden = service('db', { namespace: 'bank', visibility: 'namespace' });
  state.apply(diff({ services: [hidden, service('web')], ...podOn('a', 'cart') }));
  const holder = new Holder();
  deliver(holder, state.snapshot('a'), 'a');
  t.strictSame(holds(holder, 'services'), ['shop/web.shop.svc.cluster.local']);

  const teller = podOn('a', 'teller', { namespace: 'bank' });
  state.apply(diff(teller));
  deliver(holder, state.since('a', holder.version), 'a');
  t.equal(holder.services.has(hidden.key), true, 'gained with the first pod');

  const uid = teller.pods[0]?.pod.uid ?? '';
  state.apply(diff({ removed: { pods: [uid], workloads: [uid] } }));
  deliver(holder, state.since('a', holder.version), 'a');
  t.equal(holder.services.has(hidden.key), false, 'lost with the last');
});

test('MeshState moves a pod that was made again elsewhere', async (t) => {
  const state = new MeshState({ trustDomain });
  state.apply(diff(podOn('a', 'cart')));
  const [onA, onB] = [new Holder(), new Holder()];
  deliver(onA, state.snapshot('a'), 'a');
  deliver(onB, state.snapshot('b'), 'b');
  state.apply(diff(podOn('b', 'cart', { pod: { podUid: 'pod-cart-2' } })));
  deliver(onA, state.since('a', onA.version), 'a');
  deliver(onB, state.since('b', onB.version), 'b');
  t.strictSame([onA.pods.size, onB.pods.size], [0, 1]);
  t.equal(state.nodeOf('pod-cart'), undefined);
  t.equal(state.nodeOf('pod-cart-2'), 'b');
  t.strictSame(state.nodesInMesh(), ['b']);
  state.apply(diff(podOn('c', 'other', { pod: { enrolled: false } })));
  t.strictSame(state.nodesInMesh(), ['b'], 'a pod that is not enrolled needs no certificate');
});

test('MeshState.mayAsk() follows the enrolled pods of a node', async (t) => {
  const state = new MeshState({ trustDomain });
  const cart = identityOf(trustDomain, 'shop', 'cart');
  const one = podOn('a', 'cart');
  const two = podOn('a', 'cart-2', { serviceAccount: 'cart' });
  state.apply(diff({ workloads: [], pods: [...one.pods, ...two.pods] }));
  t.equal(state.mayAsk('a', cart), true);
  t.equal(state.mayAsk('b', cart), false);
  t.equal(state.mayAsk('a', identityOf('other.domain', 'shop', 'cart')), false);
  state.apply(diff({ removed: { pods: [one.pods[0]?.pod.uid ?? ''] } }));
  t.equal(state.mayAsk('a', cart), true, 'the second pod still has it');
  state.apply(diff(podOn('a', 'cart-2', { serviceAccount: 'cart', pod: { enrolled: false } })));
  t.equal(state.mayAsk('a', cart), false, 'released');
});

test('MeshState.since() tells only the last of many changes to one object', async (t) => {
  const state = new MeshState({ trustDomain });
  state.apply(diff(podOn('a', 'cart')));
  for (let i = 0; i < 1000; i += 1) {
    state.apply(diff({ workloads: [workload('cart', { node: 'a', weight: i })] }));
  }
  const { items, removed } = state.since('a', 1);
  t.equal(items.length, 1);
  t.match(JSON.parse(items[0]?.jsonFor('a') ?? ''), { weight: 999 });
  t.strictSame(removed, { workloads: [], services: [], policies: [], pods: [] });
});

test('MeshState.canResume() ends where its memory ends', async (t) => {
  const state = new MeshState({ trustDomain, longestLog: 100 });
  for (let i = 0; i < 500; i += 1) state.apply(diff({ workloads: [workload(`w${i % 7}`)] }));
  t.equal(state.canResume('a', 0), false);
  t.equal(state.canResume('a', 400), false);
  t.equal(state.canResume('a', 460), true);
  t.equal(state.canResume('a', 500), true);
  t.equal(state.canResume('a', 501), false, 'a version that never was');
});

/** A small world that changes at random; `reference` says what a node must hold of it. */
class RandomWorld {
  readonly workloads = new Map<string, Workload>();
  readonly pods = new Map<string, PlacedPod>();
  readonly services = new Map<string, Service>();
  readonly policies = new Map<string, Policy>();
  #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  below(n: number): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#seed / 2 ** 32) * n);
  }

  pick<T>(...of: readonly T[]): T {
    const found = of[this.below(of.length)];
    if (found === undefined) throw new Error('nothing to pick');
    return found;
  }

  /** One to four random changes. */
  step() {
    const changes = diff({});
    const workloads = new Map<string, Workload>();
    const pods = new Map<string, PlacedPod>();
    const services = new Map<string, Service>();
    const policies = new Map<string, Policy>();
    const removed = {
      workloads: new Set<string>(),
      pods: new Set<string>(),
      services: new Set<string>(),
      policies: new Set<string>(),
    };
    for (let n = 1 + this.below(4); n > 0; n -= 1) {
      const namespace = this.pick('shop', 'bank', 'blog');
      const name = `x${this.below(5)}`;
      switch (this.below(4)) {
        case 0: {
          const node = this.pick('a', 'b');
          const keys = [0, 1, 2].map((i) => `authorization/${namespace}/x${i}`);
          const one = workload(name, {
            namespace,
            node,
            policies: keys.filter(() => this.below(2) === 0),
          });
          workloads.set(one.uid, one);
          pods.set(one.uid, { node, pod: localPod(one) });
          removed.workloads.delete(one.uid);
          removed.pods.delete(one.uid);
          break;
        }
        case 1: {
          const { uid } = workload(name, { namespace });
          for (const [list, gone] of [
            [workloads, removed.workloads],
            [pods, removed.pods],
          ] as const) {
            list.delete(uid);
            gone.add(uid);
          }
          break;
        }
        case 2: {
          const one = service(name, { namespace, visibility: this.pick('public', 'namespace') });
          services.set(one.key, one);
          removed.services.delete(one.key);
          if (this.below(3) === 0) {
            services.delete(one.key);
            removed.services.add(one.key);
          }
          break;
        }
        default: {
          const one = policy(name, {
            namespace,
            scope: this.pick('mesh', 'namespace', 'selector'),
          });
          policies.set(one.key, one);
          removed.policies.delete(one.key);
          if (this.below(3) === 0) {
            policies.delete(one.key);
            removed.policies.add(one.key);
          }
        }
      }
    }
    for (const kind of ['workloads', 'pods', 'services', 'policies'] as const) {
      for (const key of removed[kind]) this[kind].delete(key);
    }
    for (const [key, one] of workloads) this.workloads.set(key, one);
    for (const [key, one] of pods) this.pods.set(key, one);
    for (const [key, one] of services) this.services.set(key, one);
    for (const [key, one] of policies) this.policies.set(key, one);
    return {
      ...changes,
      workloads: [...workloads.values()],
      pods: [...pods.values()],
      services: [...services.values()],
      policies: [...policies.values()],
      removed: {
        workloads: [...removed.workloads],
        pods: [...removed.pods],
        services: [...removed.services],
        policies: [...removed.policies],
      },
    };
  }

  /** Written the naive way on purpose. */
  reference(node: string) {
    const here = [...this.pods.values()].filter((one) => one.node === node);
    const namespaces = new Set(here.map(({ pod }) => pod.namespace));
    const selected = new Set(
      [...this.workloads.values()].filter((one) => one.node === node).flatMap((w) => w.policies),
    );
    return {
      workloads: [...this.workloads.values()].map((one) =>
        one.node === node ? one : { ...one, policies: [] },
      ),
      services: [...this.services.values()].filter(
        (one) => one.visibility === 'public' || namespaces.has(one.namespace),
      ),
      policies: [...this.policies.values()].filter(
        ({ scope, namespace, key }) =>
          scope === 'mesh' ||
          (scope === 'namespace' && namespaces.has(namespace)) ||
          (scope === 'selector' && selected.has(key)),
      ),
      pods: here.map(({ pod }) => pod),
    };
  }
}

test('MeshState brings agents that lag, resume or start anew to exactly what they may know', async (t) => {
  let checks = 0;
  let snapshots = 0;
  for (let seed = 1; seed <= 40; seed += 1) {
    const world = new RandomWorld(seed);
    const state = new MeshState({ trustDomain, longestLog: 40 });
    const agents = ['a', 'b', 'b', 'c'].map((node) => ({ node, held: new Holder() }));
    for (let step = 0; step < 150; step += 1) {
      state.apply(world.step());
      for (const { node, held } of agents) {
        if (world.below(5) > 0) continue;
        const resumes = held.version > 0 && state.canResume(node, held.version);
        if (!resumes) snapshots += 1;
        deliver(held, resumes ? state.since(node, held.version) : state.snapshot(node), node);
        const expected = world.reference(node);
        for (const kind of ['workloads', 'services', 'policies', 'pods'] as const) {
          const byKey = (one: object): string => JSON.stringify(one);
          const got = [...held[kind].values()].map((one) => byKey(Object(one))).toSorted();
          const want = expected[kind].map(byKey).toSorted();
          checks += 1;
          if (JSON.stringify(got) !== JSON.stringify(want)) {
            t.strictSame(got, want, `seed ${seed} step ${step} node ${node} ${kind}`);
            return;
          }
        }
      }
    }
  }
  t.ok(checks > 10_000, `${checks} pictures compared`);
  t.ok(snapshots > 160, `${snapshots} of them from snapshots`);
});

/** Packing, unpacking and the view: what goes in is what comes out, whole or not at all. */
import { test } from 'tap';
import { MeshError } from '#common/errors.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import { View } from '#common/mesh/view.ts';
import type { Workload } from '#common/mesh/workload.ts';
import {
  backs,
  delta,
  localPod,
  policy,
  replicas,
  ruleOf,
  service,
  snapshot,
  strict,
  viewOf,
  workload,
} from '../../helpers/mesh-build.ts';
import { randomFrom } from '../../helpers/mesh-random.ts';

const cart = service('cart', { addresses: ['10.32.0.1', 'fd00:32::1'] });
const egress = service('egress', { addresses: ['192.0.2.0/24', '2001:db8::/32'] });
const contents = {
  workloads: [
    ...replicas('cart', { count: 3, prefix: '10.64.0.', ...backs(cart), policies: ['a', 'b'] }),
    workload('lone', {
      addresses: ['10.64.1.1', 'fd00:64::1'],
      workloadType: 'pod',
      health: 'not-ready',
      locality: { region: 'r', zone: 'z', subzone: 's' },
      weight: 7,
    }),
    workload('other-name', {
      uid: 'x//WorkloadEntry/shop/vm',
      hostname: 'vm.example',
      name: 'nämé',
    }),
  ],
  services: [cart, egress],
  policies: [
    strict({ scope: 'mesh' }),
    policy('rich', {
      scope: 'selector',
      action: 'audit',
      dryRun: true,
      ...ruleOf({
        namespaces: ['a*'],
        notPrincipals: [],
        sourceIps: ['10.0.0.0/8', 'fd00::/8', '::/0', '0.0.0.0/0', '10.1.2.3'],
        notDestinationPorts: [{ from: 1, to: 65_535 }],
      }),
    }),
  ],
  pods: [localPod(workload('lone', { addresses: ['10.64.1.1'] }))],
};

const byUid = (a: Workload, b: Workload): number => (a.uid < b.uid ? -1 : 1);

test('View holds exactly what was packed', async (t) => {
  const view = viewOf(contents);
  const { workloads, ...rest } = view.snapshot();
  t.strictSame(workloads.toSorted(byUid), contents.workloads.toSorted(byUid));
  t.strictSame(rest.services, contents.services);
  t.strictSame(rest.policies, contents.policies);
  t.strictSame(rest.pods, contents.pods);
  t.strictSame(view.sizes(), { workloads: 5, services: 2, policies: 2, pods: 1 });
});

test('View keeps the address of a pod when the one before it goes later', async (t) => {
  const view = viewOf({ workloads: [workload('old', { addresses: ['10.64.0.1'] })] });
  const next = workload('next', { addresses: ['10.64.0.1'] });
  view.apply(packUpdate(delta({ workloads: [next] }, 2)));
  const old = workload('old').uid;
  view.apply(packUpdate(delta({ removed: { workloads: [old] } }, 3)));
  t.equal(view.workloadAt('10.64.0.1')?.name, 'next');
  t.equal(view.workload(old), undefined);
});

test('workloadAt() prefers who stays, then a pod, then one with a tunnel', async (t) => {
  const addresses = ['10.64.0.1'];
  const view = viewOf({
    workloads: [
      workload('leaving', { addresses, health: 'terminating' }),
      workload('entry', { addresses, uid: 'Kubernetes//WorkloadEntry/shop/entry' }),
      workload('clear', { addresses, tunnel: 'none' }),
      workload('captured', { addresses }),
    ],
  });
  const order: (string | undefined)[] = [];
  for (let version = 2; version < 6; version += 1) {
    const found = view.workloadAt('10.64.0.1');
    order.push(found?.name);
    view.apply(packUpdate(delta({ removed: { workloads: [found?.uid ?? ''] } }, version)));
  }
  t.strictSame(order, ['captured', 'clear', 'entry', 'leaving']);
});

test('workloadAt() takes mapped IPv4 for IPv4, and knows no host-network workload', async (t) => {
  const view = viewOf({
    workloads: [
      workload('pod', { addresses: ['10.64.0.1'] }),
      workload('host', { addresses: ['10.64.0.2'], hostNetwork: true }),
    ],
  });
  t.equal(view.workloadAt('::ffff:10.64.0.1')?.name, 'pod');
  t.equal(view.workloadAt('10.64.0.2'), undefined);
  t.strictSame(view.workload(workload('host').uid)?.addresses, ['10.64.0.2']);
  t.equal(view.workloadAt('nonsense'), undefined);
});

test('apply() says what an update has touched', async (t) => {
  const view = new View();
  t.ok(view.apply(packUpdate(snapshot(contents))).touched('anything'));
  const changed = workload('lone', { addresses: ['10.64.1.1'] });
  const removed = { workloads: ['Kubernetes//Pod/shop/cart-0'] };
  const applied = view.apply(packUpdate(delta({ workloads: [changed], removed }, 7)));
  t.match(applied, { version: 7, snapshot: false, policies: false, pods: false });
  t.ok(applied.touched(changed.uid));
  t.ok(applied.touched('Kubernetes//Pod/shop/cart-0'));
  t.notOk(applied.touched('Kubernetes//Pod/shop/cart-1'));
});

test('apply() refuses a delta that is not newer, and takes any snapshot', async (t) => {
  const view = viewOf(contents);
  t.throws(() => view.apply(packUpdate(delta({}, 1))), { code: 'MESSAGE_INVALID' });
  view.apply(packUpdate(delta({}, 9)));
  view.apply(packUpdate(snapshot({}, 3)));
  t.equal(view.version, 3);
  t.strictSame(view.sizes(), { workloads: 0, services: 0, policies: 0, pods: 0 });
});

test('apply() changes nothing when an update is damaged, wherever it is cut', async (t) => {
  const packed = packUpdate(snapshot(contents, 2));
  const view = viewOf({ workloads: [workload('here', { addresses: ['10.0.0.1'] })] });
  for (let length = 0; length < packed.length; length += 1) {
    const cut = packed.subarray(0, length);
    try {
      view.apply(cut);
      t.fail(`took ${length} of ${packed.length} bytes`);
    } catch (error) {
      if (!(error instanceof MeshError && error.code === 'MESSAGE_INVALID')) throw error;
    }
  }
  t.throws(() => view.apply(Uint8Array.of(...packed, 0)), { code: 'MESSAGE_INVALID' });
  t.equal(view.version, 1);
  t.equal(view.workloadAt('10.0.0.1')?.name, 'here');
});

test('apply() throws nothing but MESSAGE_INVALID on any bytes', async (t) => {
  const packed = packUpdate(snapshot(contents, 2));
  const random = randomFrom(1);
  let refused = 0;
  for (let i = 0; i < 20_000; i += 1) {
    const spoilt = packed.slice();
    for (let n = 0; n <= random() * 3; n += 1) {
      spoilt[Math.floor(random() * spoilt.length)] = random() * 256;
    }
    const view = new View();
    try {
      view.apply(spoilt);
      Array.from(view.workloads());
    } catch (error) {
      if (!(error instanceof MeshError && error.code === 'MESSAGE_INVALID')) throw error;
      refused += 1;
    }
  }
  t.ok(refused > 1000 && refused < 20_000, `${refused} refused`);
});

test('View agrees with a plain map through thousands of changes', async (t) => {
  const random = randomFrom(7);
  const view = viewOf({});
  const wanted = new Map<string, Workload>();
  for (let version = 2; version < 1500; version += 1) {
    const upserts = Array.from({ length: Math.floor(random() * 6) }, () => {
      const name = `w${Math.floor(random() * 300)}`;
      return workload(name, {
        uid: random() < 0.1 ? `odd:${name}` : workload(name).uid,
        addresses:
          random() < 0.9 ? [`10.0.${Math.floor(random() * 2)}.${Math.floor(random() * 99)}`] : [],
        serviceAccount: `sa${Math.floor(random() * 4)}`,
        node: `n${Math.floor(random() * 3)}`,
        canonicalName: random() < 0.5 ? name : 'app',
        hostNetwork: random() < 0.1,
        health: random() < 0.5 ? 'ready' : 'not-ready',
        ...(random() < 0.5 ? backs(cart) : {}),
      });
    });
    const gone = Array.from(wanted.keys()).filter(() => random() < 0.02);
    for (const uid of gone) wanted.delete(uid);
    for (const one of upserts) wanted.set(one.uid, one);
    view.apply(packUpdate(delta({ workloads: upserts, removed: { workloads: gone } }, version)));
    if (version % 50 !== 0) continue;
    const held = Array.from(view.workloads()).toSorted(byUid);
    if (!t.strictSame(held, Array.from(wanted.values()).toSorted(byUid))) return;
    for (let host = 0; host < 99; host += 1) {
      const address = `10.0.0.${host}`;
      const some = held.filter((one) => !one.hostNetwork && one.addresses.includes(address));
      const found = view.workloadAt(address);
      const right =
        found === undefined ? some.length === 0 : some.some(({ uid }) => uid === found.uid);
      if (!right) t.fail(`${address} found ${found?.uid}`);
    }
    const behind = held.filter(({ memberships }) => memberships.length > 0).map(({ uid }) => uid);
    const table = view.workloadTable;
    const rows = Array.from(table.backing(cart.key)?.shapes ?? []).flatMap((shape) =>
      Array.from(table.rowsOf(shape), (row) => table.uid(row)),
    );
    t.strictSame(rows.toSorted(), behind.toSorted());
  }
});

test('a workload is the same object until it changes', async (t) => {
  const view = viewOf(contents);
  const before = view.workload('Kubernetes//Pod/shop/cart-0');
  view.apply(packUpdate(delta({ workloads: [workload('new')] }, 2)));
  t.equal(view.workload('Kubernetes//Pod/shop/cart-0'), before);
  t.equal(view.workload('Kubernetes//Pod/shop/cart-1')?.policies, before?.policies);
  const changed = replicas('cart', { count: 1, prefix: '10.64.0.', health: 'not-ready' });
  view.apply(packUpdate(delta({ workloads: changed }, 3)));
  t.equal(view.workload('Kubernetes//Pod/shop/cart-0')?.health, 'not-ready');
});

test('packUpdate() refuses what cannot be packed', async (t) => {
  const refuses = (one: Partial<Workload>): void => {
    const update = snapshot({ workloads: [workload('w', one)] });
    t.throws(() => packUpdate(update), { code: 'OBJECT_INVALID' });
  };
  refuses({ addresses: ['10.0.0.256'] });
  refuses({ weight: -1 });
  refuses({ weight: 1.5 });
  refuses({ uid: 'x'.repeat(1025), name: 'w' });
  refuses({ uid: 'x/y', name: '' });
  refuses({ addresses: Array.from({ length: 65 }, () => '10.0.0.1') });
  refuses({ node: 'n'.repeat(4097) });
  const port = { name: '', port: 65_536, targetPort: 1, appProtocol: '' };
  const odd = snapshot({ services: [service('s', { ports: [port] })] });
  t.throws(() => packUpdate(odd), { code: 'OBJECT_INVALID' });
  const block = snapshot({ policies: [policy('p', ruleOf({ sourceIps: ['10.0.0.0/33'] }))] });
  t.throws(() => packUpdate(block), { code: 'OBJECT_INVALID' });
});

test('View shows nothing of a snapshot before its last step', async (t) => {
  const view = viewOf({ workloads: [workload('old')] });
  const steps = view.applying(packUpdate({ ...snapshot(contents), version: 9 }));
  let taken = 0;
  for (let step = steps.next(); step.done !== true; step = steps.next()) {
    taken += 1;
    t.equal(view.workload(workload('old').uid)?.name, 'old');
    t.equal(view.sizes().services, 0);
  }
  t.ok(taken > 0, `${taken} steps`);
  t.equal(view.version, 9);
  t.equal(view.workload(workload('old').uid), undefined);
  t.strictSame(Array.from(view.workloads()).toSorted(byUid), contents.workloads.toSorted(byUid));
});

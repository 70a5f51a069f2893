/** The agent finds its pods among namespaces that a container runtime has pinned under its own names. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { test } from 'tap';
import type { Test } from 'tap';
import { NodeNamespaces } from '../../node-agent/pods/node-namespaces.ts';
import type { MatchPod } from '../../node-agent/pods/match.ts';
import { createNet, needsRoot as skip, type PodNetns } from '../helpers/netns.ts';
import { silent } from '../helpers/silent-log.ts';

function record(
  podUid: string,
  { addresses }: { readonly addresses: readonly string[] },
): MatchPod {
  return { podUid, addresses, isEnding: () => false };
}

/** What the agent holds of a directory of pins, with the pods that the controller speaks of. */
function setUp(t: Test, prefix: string) {
  const directory = t.testdir();
  const known: { pods: MatchPod[] } = { pods: [] };
  const namespaces = new NodeNamespaces({ path: directory, pods: () => known.pods, log: silent });
  t.after(() => namespaces.stop());
  const pin = (name: string, { path }: Pick<PodNetns, 'path'>): void =>
    symlinkSync(path, `${directory}/${name}`);
  const opened = (podUid: string): readonly string[] | undefined => {
    const found = namespaces.open(podUid);
    if (found !== undefined) closeSync(found.fd);
    return found?.addresses;
  };
  /** A look is shared by those who come within 50 ms. */
  const later = async (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 60));
  return { net: createNet(t, prefix, 1), directory, known, namespaces, pin, opened, later };
}

test(
  'pods are found by the addresses inside, whatever their pins are called',
  { skip },
  async (t) => {
    const { net, directory, known, namespaces, pin, opened } = setUp(t, 'podn');
    const node = net.node(1);
    const both = node.pod('both');
    const six = node.pod('six', { families: [6] });
    const job = node.pod('job');
    both.exec(
      'ip link add net1 type veth peer name other && ip link set net1 up && ip addr add 192.168.7.1/24 dev net1',
    );
    pin('cni-0d4c1c0e-7f8e-4bb0-9d8a-2f4f2c9d1b11', both);
    pin('2f9b7c5c', six);
    pin('host', { path: '/proc/self/ns/net' });
    writeFileSync(`${directory}/cni-waits-for-its-mount`, '');
    symlinkSync('/nowhere', `${directory}/cni-gone`);
    mkdirSync(`${directory}/directory`);
    known.pods = [
      record('a', both),
      record('b', six),
      record('c', job),
      record('d', { addresses: [node.address4] }),
    ];
    t.strictSame(
      [...namespaces.list().keys()],
      ['a', 'b'],
      'neither what is not pinned nor the node',
    );
    t.strictSame(new Set(opened('a')), new Set([...both.addresses, '192.168.7.1']));
    t.strictSame(opened('b'), six.addresses);
    t.equal(opened('c'), undefined);
  },
);

test(
  'a real bind mount is followed from before its mount until it is gone',
  { skip },
  async (t) => {
    const { net, directory, known, namespaces, opened, later } = setUp(t, 'podm');
    const pod = net.node(1).pod('one');
    const path = `${directory}/cni-1`;
    known.pods = [record('a', pod)];
    const seen: number[] = [];
    const alive = setInterval(() => {}, 1000);
    t.after(() => clearInterval(alive));
    namespaces.start((pods) => seen.push(pods.size));
    writeFileSync(path, '');
    await later();
    t.equal(opened('a'), undefined);
    execFileSync('mount', ['--bind', pod.path, path]);
    let isMounted = true;
    const unmount = (): void => {
      if (isMounted) execFileSync('umount', [path]);
      isMounted = false;
    };
    t.after(unmount);
    const found = async (size: number): Promise<void> => {
      while (seen.at(-1) !== size) await later();
    };
    await found(1);
    t.strictSame(opened('a'), pod.addresses);
    unmount();
    await found(0);
    t.equal(opened('a'), undefined);
  },
);

test('an address that another pod has taken over leads to that pod alone', { skip }, async (t) => {
  const { net, directory, known, namespaces, pin, opened, later } = setUp(t, 'podr');
  const node = net.node(1);
  const old = node.pod('old', { host: 40 });
  pin('cni-old', old);
  known.pods = [record('old', old)];
  const before = namespaces.list().get('old');
  t.ok(before);
  old.remove();
  rmSync(`${directory}/cni-old`);
  const young = node.pod('young', { host: 40 });
  pin('cni-young', young);
  await later();
  t.equal(opened('old'), undefined, 'the record of the old pod still names the address');
  known.pods = [record('old', old), record('young', young)];
  await later();
  t.strictSame([...namespaces.list().keys()], ['young']);
  t.strictSame(opened('young'), young.addresses);
});

test(
  'what the runtime says of a new pod counts at once, and until its namespace is gone',
  { skip },
  async (t) => {
    const { net, directory, known, namespaces, pin, opened, later } = setUp(t, 'podt');
    const pod = net.node(1).pod('new');
    t.notOk(namespaces.told('uid-1', '/var/run/netns/cni-new'), 'there is no such pin');
    pin('cni-new', pod);
    t.ok(namespaces.told('uid-1', '/var/run/netns/cni-new'));
    t.strictSame(opened('uid-1'), pod.addresses, 'before anybody else has heard of the pod');
    known.pods = [record('stale', pod)];
    await later();
    t.equal(opened('stale'), undefined);
    t.ok(namespaces.isTold('uid-1'));
    rmSync(`${directory}/cni-new`);
    await later();
    t.strictSame([...namespaces.list()], []);
    t.notOk(namespaces.isTold('uid-1'));
  },
);

test('pods that come and go during the search do no harm', { skip }, async (t) => {
  const { net, directory, known, namespaces, pin, later } = setUp(t, 'podv');
  const node = net.node(1);
  for (let round = 0; round < 5; round += 1) {
    const pods = [0, 1, 2].map((n) => node.pod(`r${round}-${n}`, { host: 50 + n }));
    known.pods = pods.map((pod, n) => record(`${round}-${n}`, pod));
    for (const [n, pod] of pods.entries()) pin(`cni-${round}-${n}`, pod);
    await later();
    pods[0]?.remove();
    const found = [...namespaces.list().keys()];
    t.ok(found.includes(`${round}-1`) && found.includes(`${round}-2`));
    for (const n of [0, 1, 2]) rmSync(`${directory}/cni-${round}-${n}`);
    for (const pod of pods.slice(1)) pod.remove();
    await later();
    t.equal(namespaces.list().size, 0);
  }
});

test(
  'where nothing is pinned pods are found by the cgroups of their processes',
  { skip },
  async (t) => {
    const net = createNet(t, 'podp', 1);
    const node = net.node(1);
    const [one, other] = [node.pod('one'), node.pod('other')];
    const uid = '8d1c5c4e-4c1e-4d7a-9f0e-0123456789ab';
    const proc = t.testdir({
      1: { cgroup: '0::/init.scope\n', ns: {} },
      20: { cgroup: `0::/kubepods/pod${uid}/c\n`, ns: {} },
      21: { cgroup: `0::/kubepods/pod${uid}/d\n`, ns: {} },
      30: { cgroup: '0::/kubepods/pod1b0c3a5d7e9f1b0c3a5d7e9f1b0c3a5d/c\n', ns: {} },
      40: { cgroup: `0::/kubepods/pod${uid.replace('8d', '9d')}/c\n`, ns: {} },
      self: {},
    });
    symlinkSync(one.path, `${proc}/20/ns/net`);
    symlinkSync(one.path, `${proc}/21/ns/net`);
    symlinkSync(other.path, `${proc}/30/ns/net`);
    symlinkSync('/proc/self/ns/net', `${proc}/40/ns/net`);
    const pods = [
      record(uid, one),
      record('mirror', other),
      record('gone', { addresses: ['10.1.1.1'] }),
    ];
    const path = `${proc}/no-such-directory`;
    const found = new NodeNamespaces({ path, procDir: proc, pods: () => pods, log: silent });
    t.strictSame([...found.list().keys()], [uid, 'mirror'], 'by uid, or by address');
    const opened = found.open(uid);
    t.strictSame(opened?.addresses, one.addresses);
    if (opened !== undefined) closeSync(opened.fd);
    const without = new NodeNamespaces({ path, pods: () => pods, log: silent });
    t.equal(without.list().size, 0, 'only when it is asked for');
  },
);

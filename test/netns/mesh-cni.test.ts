/**
 * A node as a container runtime has it: namespaces under names of the runtime's own, pods that the CNI
 * plugin holds back until they are proven captured, and a node that the mesh leaves for good.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'tap';
import { type DesiredPod, Mesh } from '../helpers/mesh.ts';
import { account, documents, namespace, nodes, pod } from '../helpers/mesh-yaml.ts';
import { needsRoot as skip, type NodeNetns, type PodNetns } from '../helpers/netns.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';
import { eventually, Program } from '../helpers/program.ts';

const LIST = '{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"ptp"}]}\n';

function yamlWith(...more: string[]): string {
  return documents(
    nodes(2),
    namespace('shop'),
    namespace('web', {
      'plumbline.dev/dataplane-mode': 'ambient',
      'plumbline.dev/on-failure': 'open',
    }),
    namespace('other', {}),
    account('cart'),
    pod('cart', { node: 2, account: 'cart' }),
    ...more,
  );
}

/** Where a node keeps what the agent and its removal must both know. */
function flags(dir: string, node: number): string[] {
  return Object.entries({
    '--netns-dir': `${dir}/pins-${node}`,
    '--cni-bin-dir': `${dir}/bin-${node}`,
    '--cni-conf-dir': `${dir}/net-${node}`,
  }).flat();
}

interface Start {
  readonly outcome: string;
  readonly ms: number;
}

/** Asks the plugin of a node as its runtime would; the text of the error when it says no. */
async function add(binDir: string, { podUid, namespace: space, name }: DesiredPod): Promise<Start> {
  const since = performance.now();
  const child = spawn(`${binDir}/plumbline`, {
    env: {
      PATH: process.env['PATH'],
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: `${podUid}-${Math.round(since)}`,
      CNI_NETNS: `/var/run/netns/cni-${podUid}`,
      CNI_ARGS: `K8S_POD_NAMESPACE=${space};K8S_POD_NAME=${name};K8S_POD_UID=${podUid}`,
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stdin.end('{"cniVersion":"1.0.0","name":"net","prevResult":{"ips":[]},"type":"plumbline"}');
  const [code] = await once(child, 'close');
  const ms = Math.round(performance.now() - since);
  if (code === 0) return { outcome: 'passed', ms };
  const { msg }: { msg: string } = JSON.parse(out);
  return { outcome: msg, ms };
}

/** All that the mesh sets in a pod or a node. */
function traces(of: PodNetns | NodeNetns): string {
  return of
    .exec(
      'iptables-save; ip6tables-save; iptables-legacy-save 2>/dev/null; ip rule; ip -6 rule; ' +
        'ip route show table 100 2>&1; ip -6 route show table 100 2>&1; ipset list -n; ' +
        'sysctl net.netfilter.nf_conntrack_tcp_loose 2>&1',
    )
    .replaceAll(/^#.*\n/gm, '');
}

test(
  'pods start when they are proven captured, and the mesh leaves the node without trace',
  {
    skip,
  },
  async (t) => {
    const starts = new Map<string, Start[]>();
    const gated = new Set<string>();
    const dir = mkdtempSync('/tmp/plumb-cni-');
    // Undone last: the agents write here until they end.
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    for (const name of ['net-1', 'net-2', 'pins-1', 'pins-2']) mkdirSync(`${dir}/${name}`);
    for (const n of [1, 2]) writeFileSync(`${dir}/net-${n}/10-net.conflist`, LIST, { mode: 0o600 });
    const tries = async (one: DesiredPod, until: (start: Start) => boolean): Promise<void> => {
      for (;;) {
        const start = await add(`${dir}/bin-${one.node.slice(-1)}`, one);
        starts.set(one.name, [...(starts.get(one.name) ?? []), start]);
        if (until(start)) return;
      }
    };
    const mesh: Mesh = await Mesh.start(t, 'meshcni', {
      yaml: yamlWith(),
      agentFlags: (node) => [
        '--drain',
        '300ms',
        '--netns-layout',
        'node',
        '--ready-file',
        `${dir}/ready-${node}`,
        ...flags(dir, node),
      ],
      onSandbox: async (one, { path }) => {
        symlinkSync(path, `${dir}/pins-${one.node.slice(-1)}/cni-${one.podUid}`);
        if (gated.has(one.name)) await tries(one, ({ outcome }) => outcome === 'passed');
      },
    });
    const types = (node: number): unknown =>
      JSON.parse(readFileSync(`${dir}/net-${node}/10-net.conflist`, 'utf8')).plugins;
    t.strictSame(types(1), [{ type: 'ptp' }, { type: 'plumbline' }]);
    await eventually('ready', async () => readFileSync(`${dir}/ready-1`));
    const cart = mesh.pod('shop/cart');
    await greeter(t, cart.fd, 8080);

    gated.add('first').add('out').add('stranger');
    const out = { labels: { 'plumbline.dev/dataplane-mode': 'none' } };
    const some = [
      pod('first', { node: 1 }),
      pod('out', { node: 1, ...out }),
      pod('stranger', { node: 1 }, 'other'),
    ];
    await mesh.write(yamlWith(...some));
    await mesh.proven();
    const provenAt = mesh
      .agent(1)
      .lines.findIndex(
        ({ message, pod: name }) => message === 'pod proven captured' && name === 'shop/first',
      );
    const mayStartAt = mesh
      .agent(1)
      .lines.findIndex(
        ({ message, pod: name }) => message === 'pod may start' && name === 'shop/first',
      );
    t.ok(provenAt >= 0 && provenAt < mayStartAt, 'proven first, then let go');
    t.match(mesh.agent(1).lines[mayStartAt], { proven: true });
    for (const name of ['first', 'out', 'stranger']) t.equal(starts.get(name)?.length, 1, name);
    const [address4 = ''] = cart.addresses;
    const first = mesh.pod('shop/first');
    t.equal(await greet(first.fd, address4, 8080), first.address4, 'its traffic is carried');
    t.notMatch(traces(mesh.pod('shop/out')), /PLUMB/);
    t.comment(`first pod held for ${starts.get('first')?.[0]?.ms} ms`);

    await mesh.agent(1).end('SIGKILL');
    gated.add('held').add('open').add('free');
    const held = pod('held', { node: 1 });
    const unproven = pod('open', { node: 1 }, 'web');
    const free = pod('free', { node: 1 }, 'other');
    writeFileSync(`${mesh.directory}/yaml/mesh.yaml`, yamlWith(...some, free, unproven, held));
    await eventually(
      'the pod is held',
      async () => starts.get('held')?.length ?? Promise.reject(new Error('no')),
      60_000,
    );
    t.match(
      starts.get('held')?.[0]?.outcome,
      /pod shop\/held is held back.*did not answer within 10 s/,
    );
    t.equal(starts.get('open')?.length, 1, 'the namespace lets it pass');
    t.ok((starts.get('open')?.[0]?.ms ?? 0) > 5000, 'after it was waited for');
    t.ok((starts.get('free')?.[0]?.ms ?? 0) < 5000, 'nobody else waits');
    t.ok(existsSync(`${dir}/ready-1`), 'of a killed agent it stays, and grows old');
    const successor = mesh.successor(1);
    successor.start();
    mesh.replaceAgent(1, successor);
    await eventually('the pod starts', async () => mesh.pod('shop/held'), 60_000);
    await mesh.proven();
    t.equal(starts.get('held')?.at(-1)?.outcome, 'passed');
    await eventually('the one that passed is known', async () => {
      if (
        !successor.lines.some(
          ({ message, pod: name }) =>
            message === 'pod has started without proof of its capture' && name === 'web/open',
        )
      )
        throw new Error('not yet');
    });

    const pods = ['shop/first', 'shop/held', 'web/open'].map((name) => mesh.pod(name));
    for (const one of pods) t.match(traces(one), /PLUMB/);
    const remove = (node: number): Program =>
      new Program(mesh.net.node(node), '', [
        mesh.agent(node).args[0] ?? '',
        '--remove',
        ...flags(dir, node),
        '--state-dir',
        `${mesh.directory}/node-${node}`,
        '--run-dir',
        `${mesh.directory}/node-${node}`,
      ]);
    const early = remove(1);
    early.start();
    t.equal(await early.exit(), 64, 'not while an agent runs here');
    for (const one of pods) t.match(traces(one), /PLUMB/);
    for (const node of [1, 2]) {
      await mesh.agent(node).end('SIGKILL');
      const program = remove(node);
      program.start();
      t.equal(await program.exit(), 0);
      t.strictSame(
        JSON.parse(readFileSync(`${dir}/net-${node}/10-net.conflist`, 'utf8')),
        JSON.parse(LIST),
      );
      t.strictSame(readdirSync(`${dir}/bin-${node}`), []);
      t.strictSame(readdirSync(`${mesh.directory}/node-${node}`), []);
    }
    rmSync(`${mesh.directory}/node-1`, { recursive: true });
    const again = remove(1);
    again.start();
    t.equal(await again.exit(), 0, 'there is nothing left to do, after a reboot too');
    for (const one of [...pods, cart]) {
      t.notMatch(traces(one), /PLUMB|32764|0x4d|local default|tcp_loose = 0/);
    }
    for (const node of mesh.net.nodes) t.notMatch(traces(node), /PLUMB|plumb/i);
    t.equal(
      await greet(first.fd, address4, 8080),
      first.address4,
      'they talk on, without the mesh',
    );
  },
);

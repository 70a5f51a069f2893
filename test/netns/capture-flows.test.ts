/** What capture does to real traffic: both families, both flavours of iptables, with a small agent. */
import { test, type Test } from 'tap';
import type { CaptureOptions } from '#common/mesh/workload.ts';
import { type Flavour, findPrograms } from '../../node-agent/capture/backend.ts';
import { Capture, type Enrolment } from '../../node-agent/capture/capture.ts';
import { createCommand } from '../../node-agent/capture/command.ts';
import { HostRules } from '../../node-agent/capture/host-rules.ts';
import { PROBE_SOURCE } from '../../node-agent/capture/rules.ts';
import { PLAIN } from '../helpers/capture-golden.ts';
import { createNet, needsRoot as skip, type PodNetns } from '../helpers/netns.ts';
import { greet, greeter, PodClient } from '../helpers/pod-apps.ts';
import { RelayAgent } from '../helpers/relay-agent.ts';
import { silent } from '../helpers/silent-log.ts';

const command = createCommand();

async function setUp(t: Test, flavour: Flavour) {
  const all = await findPrograms(command);
  const programs = new Map([...all].filter(([name]) => name === flavour));
  const net = createNet(t, 'cap');
  const client = net.node(1).pod('client');
  const server = net.node(2).pod('server');
  const agent = new RelayAgent();
  t.after(() => agent.stop());
  const capture = async (
    pod: PodNetns,
    options: Partial<CaptureOptions> = {},
  ): Promise<{ readonly capture: Capture; readonly enrolment: Enrolment }> => {
    const deps = { command, programs, log: silent, netns: pod.fd };
    const made = new Capture(deps, { ...PLAIN, ...options });
    const enrolment = await made.enrol(async () => agent.listen(pod.name, pod.fd));
    return { capture: made, enrolment };
  };
  return { net, client, server, agent, capture, programs };
}

for (const flavour of ['nft', 'legacy'] as const) {
  test(`enrol() captures both directions and families (${flavour})`, { skip }, async (t) => {
    const { client, server, agent, capture } = await setUp(t, flavour);
    const app = await greeter(t, server.fd, 8080);
    const { enrolment } = await capture(client);
    t.match(enrolment, { flavour, changed: true, existing: 0 });
    await capture(server);
    for (const [i, address] of server.addresses.entries()) {
      const seen = await greet(client.fd, address, 8080);
      t.equal(seen, client.addresses[i], 'the application sees the client itself');
    }
    t.strictSame(
      agent.carried.map(({ podUid, direction, address }) => [podUid, direction, address]),
      server.addresses.flatMap((address) => [
        [client.name, 'outbound', address],
        [server.name, 'inbound', address],
      ]),
    );
    t.equal(app.clients.length, 2);
  });

  test(`enrol() leaves the pod's calls to itself alone (${flavour})`, { skip }, async (t) => {
    const { server, agent, capture } = await setUp(t, flavour);
    await greeter(t, server.fd, 8080);
    await capture(server);
    for (const address of [...server.addresses, '127.0.0.1', '::1']) {
      t.equal(await greet(server.fd, address, 8080), address);
    }
    t.strictSame(agent.carried, []);
  });

  test(`enrol() lets probes of the node pass and nobody else (${flavour})`, { skip }, async (t) => {
    const { net, client, server, agent, capture, programs } = await setUp(t, flavour);
    const node = net.node(2);
    await greeter(t, server.fd, 8080);
    await capture(server);
    const rules = new HostRules({ command, programs, log: silent, netns: node.fd });
    await rules.start();
    await rules.set('uid-1', server.addresses);
    for (const [i, address] of server.addresses.entries()) {
      t.equal(await greet(node.fd, address, 8080), PROBE_SOURCE[i === 0 ? 4 : 6]);
      t.strictSame(agent.carried, [], 'the probe went past the agent');
    }
    await greet(client.fd, server.address4 ?? '', 8080);
    t.equal(agent.carried.length, 1, 'another pod did not');
    // A pod that gives itself the probes' address is stopped on its way through the node.
    client.exec(`ip addr add ${PROBE_SOURCE[4]}/32 dev eth0`);
    net.node(1).exec(`ip route add ${PROBE_SOURCE[4]}/32 via ${client.address4}`);
    node.exec(`ip route add ${PROBE_SOURCE[4]}/32 via ${net.node(1).address4}`);
    client.exec(`ip route replace default via 10.65.0.1 src ${PROBE_SOURCE[4]}`);
    const forged = `timeout 1 bash -c ': <>/dev/tcp/${server.address4}/8080'`;
    node.exec(`iptables-${flavour} -t raw -F`);
    t.ok(client.succeeds(forged), 'without the rule it would pass by the agent');
    t.ok(await rules.repair());
    t.notOk(client.succeeds(forged));
    await rules.remove('uid-1');
    await greet(node.fd, server.address4 ?? '', 8080);
    t.equal(agent.carried.length, 2, 'once removed, the node is a stranger as well');
    await rules.stop();
    const left = node.exec('iptables-save; iptables-legacy-save; ip6tables-save; ipset list -n');
    t.notMatch(left, /plumb/i);
  });

  test(`the fence refuses what nat no longer redirects (${flavour})`, { skip }, async (t) => {
    const { client, server, agent, capture } = await setUp(t, flavour);
    const app = await greeter(t, server.fd, 8080);
    await capture(client);
    client.exec(`iptables-${flavour} -t nat -F; ip6tables-${flavour} -t nat -F`);
    for (const address of server.addresses) {
      await t.rejects(greet(client.fd, address, 8080), { code: 'ECONNREFUSED' });
    }
    const { capture: other } = await capture(server);
    server.exec(`iptables-${flavour} -t nat -F; ip6tables-${flavour} -t nat -F`);
    const stranger = client.node.pod('stranger');
    for (const address of server.addresses) {
      await t.rejects(greet(stranger.fd, address, 8080), { code: 'ECONNREFUSED' });
    }
    t.strictSame([app.clients, agent.carried], [[], []]);
    t.ok((await other.repair()).length > 0);
    await greet(stranger.fd, server.address4 ?? '', 8080);
    t.equal(agent.carried.length, 1);
  });

  test(`excluded ports and addresses pass in clear (${flavour})`, { skip }, async (t) => {
    const { client, server, agent, capture } = await setUp(t, flavour);
    await greeter(t, server.fd, 8080);
    await greeter(t, server.fd, 9100);
    await capture(client, { excludeOutboundPorts: [9100], excludeOutboundCidrs: ['fd00:2::/64'] });
    await capture(server, { excludeInboundPorts: [9100] });
    t.equal(await greet(client.fd, server.address4 ?? '', 9100), client.address4);
    t.strictSame(agent.carried, []);
    await greet(client.fd, server.address6 ?? '', 8080);
    await greet(client.fd, server.address4 ?? '', 8080);
    t.strictSame(
      agent.carried.map(({ direction, address }) => [direction, address]),
      [
        ['inbound', server.address6],
        ['outbound', server.address4],
        ['inbound', server.address4],
      ],
    );
  });

  test(`what stood before enrolment and at release goes on (${flavour})`, { skip }, async (t) => {
    const { client, server, agent, capture } = await setUp(t, flavour);
    await greeter(t, server.fd, 8080);
    const before = (pod: PodNetns): string =>
      pod.exec('iptables-save; ip6tables-save; ip rule; ip -6 rule').replaceAll(/^#.*\n/gm, '');
    const standing = server.addresses.map((to) => new PodClient(client.fd, to, 8080));
    for (const open of standing) await open.line();
    const { capture: source, enrolment } = await capture(client);
    t.equal(enrolment.existing, 2);
    const { capture: target } = await capture(server);
    for (const open of standing) t.ok(await open.echo('still in clear'));
    const captured = server.addresses.map((to) => new PodClient(client.fd, to, 8080));
    for (const open of captured) await open.line();
    t.equal(agent.carried.length, 4);
    const drained = Promise.withResolvers<void>();
    const releasing = [source, target].map(async (one) =>
      one.release(async () => {
        agent.stopListening(one === source ? client.name : server.name);
        await drained.promise;
      }),
    );
    await greetUntilClear(agent, async () => greet(client.fd, server.address4 ?? '', 8080));
    for (const open of [...standing, ...captured]) t.ok(await open.echo('while it drains'));
    for (const open of captured) open.end();
    drained.resolve();
    await Promise.all(releasing);
    for (const open of standing) {
      t.ok(await open.echo('after the release'));
      open.end();
    }
    for (const pod of [client, server]) {
      t.notMatch(before(pod), /PLUMB|0x411/);
      t.match(pod.exec('cat /proc/sys/net/netfilter/nf_conntrack_tcp_loose'), /^1/);
      t.equal(pod.exec('ip route show table 100 2>/dev/null || true'), '');
      t.equal(pod.exec('ip -6 route show table 100 2>/dev/null || true'), '');
    }
  });
}

/** Connects until the agent carries nothing more, as it is once both pods' nat is gone. */
async function greetUntilClear(agent: RelayAgent, connect: () => Promise<string>): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    const before = agent.carried.length;
    const ok = await connect().then(
      () => true,
      () => false,
    );
    if (ok && agent.carried.length === before) return;
  }
  throw new Error('the pods stay captured');
}

test('enrol() cuts what stands where the pod asks for that', { skip }, async (t) => {
  const { client, server, agent, capture } = await setUp(t, 'nft');
  await greeter(t, server.fd, 8080);
  const standing = server.addresses.map((to) => new PodClient(client.fd, to, 8080));
  for (const open of standing) await open.line();
  const { enrolment } = await capture(client, { cutExisting: true });
  t.match(enrolment, { existing: 0, cut: 2 });
  for (const open of standing) await t.rejects(open.line());
  await greet(client.fd, server.address4 ?? '', 8080);
  t.equal(agent.carried.length, 1);
});

test('enrol() captures a pod that has one family only', { skip }, async (t) => {
  const { net, agent, capture } = await setUp(t, 'nft');
  for (const family of [4, 6] as const) {
    const one = net.node(1).pod(`one${family}`, { families: [family] });
    const two = net.node(2).pod(`two${family}`, { families: [family] });
    await greeter(t, two.fd, 8080);
    await capture(one);
    await capture(two);
    t.equal(await greet(one.fd, two.addresses[0] ?? '', 8080), one.addresses[0]);
  }
  t.equal(agent.carried.length, 4);
});

test('UDP passes untouched and is counted', { skip }, async (t) => {
  const { client, server, capture } = await setUp(t, 'nft');
  const { capture: source } = await capture(client);
  const { capture: target } = await capture(server);
  for (const address of server.addresses) {
    client.exec(`bash -c 'for i in 1 2 3; do echo hello >/dev/udp/${address}/7000; done'`);
  }
  await source.verify();
  await target.verify();
  t.equal(source.udpPackets, 6);
  t.equal(target.udpPackets, 6);
  client.exec('iptables -t mangle -F; ip6tables -t mangle -F');
  await source.repair();
  t.equal(source.udpPackets, 6, 'the count outlives a repair');
});

test('a captured pod whose agent is gone reaches nobody', { skip }, async (t) => {
  const { client, server, agent, capture } = await setUp(t, 'nft');
  const app = await greeter(t, server.fd, 8080);
  await capture(client);
  agent.stop();
  for (const address of server.addresses) {
    await t.rejects(greet(client.fd, address, 8080), { code: 'ECONNREFUSED' });
  }
  t.strictSame(app.clients, []);
});

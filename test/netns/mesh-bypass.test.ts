/** What passes by the mesh on purpose, and nothing beside it: the node's probes, UDP, exclusions. */
import { test } from 'tap';
import { Mesh } from '../helpers/mesh.ts';
import {
  account,
  documents,
  namespace,
  nodes,
  peerAuthentication,
  pod,
} from '../helpers/mesh-yaml.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';
import { getText, parseSeries, sumOf } from '../helpers/pod-http.ts';
import { PodUdp } from '../helpers/pod-udp.ts';
import { eventually } from '../helpers/program.ts';
import { PROBE_SOURCE } from '../../node-agent/capture/rules.ts';

const strict = peerAuthentication('strict', { mtls: { mode: 'STRICT' } });

test(
  'under STRICT probes of the own node pass, and processes of other nodes do not; UDP passes',
  { skip },
  async (t) => {
    const yaml = documents(
      nodes(2),
      namespace('shop'),
      account('web'),
      account('cart'),
      pod('web', { node: 1, account: 'web' }),
      pod('cart', { node: 2, account: 'cart' }),
      strict,
    );
    const mesh = await Mesh.start(t, 'meshbyp', { yaml });
    const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
    const app = await greeter(t, cart.fd, 8080);
    for (const family of [4, 6] as const) {
      const address = (family === 4 ? cart.address4 : cart.address6) ?? '';
      const node = mesh.net.node(2);
      t.equal(await greet(node.fd, address, 8080), PROBE_SOURCE[family], 'a probe passes');
      const before = app.clients.length;
      await t.rejects(greet(mesh.net.node(1).fd, address, 8080), 'a stranger does not');
      t.equal(app.clients.length, before, 'nor did the application hear of it');
      t.equal(await greet(web.fd, address, 8080), web.addresses[family === 4 ? 0 : 1]);
    }
    t.ok(await mesh.access(2, { direction: 'inbound', code: 'POLICY_DENIED' }, 1));

    for (const family of [4, 6] as const) {
      const [from, to] =
        family === 4 ? [web.address4, cart.address4] : [web.address6, cart.address6];
      const at = { address: to ?? '', port: 9999 };
      const server = new PodUdp(t, cart.fd, family, at);
      const client = new PodUdp(t, web.fd, family);
      client.send(Buffer.from('ping'), at);
      const asked = await server.receive();
      t.match(asked, { bytes: Buffer.from('ping'), from: { address: from } });
      server.send(Buffer.from('pong'), asked.from);
      t.match(await client.receive(), { bytes: Buffer.from('pong'), from: at });
    }
    for (const [n, at] of [web, cart].entries()) {
      // Any change in the pod's tables has them read, and with them the counters.
      at.exec('iptables -t filter -N SOMEBODY');
      const passed = await eventually('UDP is counted', async () => {
        const address = { address: '127.0.0.1', port: 15_020 };
        const series = parseSeries(await getText(mesh.net.node(n + 1).fd, address, '/metrics'));
        const sum = sumOf(series, 'plumbline_udp_packets_total', { namespace: 'shop' });
        if (sum === 0) throw new Error('none yet');
        return sum;
      });
      t.equal(passed, 4, 'a question and an answer of each family');
    }
    t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');
  },
);

test('what annotations exclude passes in clear, and only that', { skip }, async (t) => {
  const annotations = {
    'plumbline.dev/exclude-inbound-ports': '9000',
    'plumbline.dev/exclude-outbound-ports': '7000, 7001',
    'plumbline.dev/exclude-outbound-cidrs': '10.66.0.200/32, fd00:2::c8/128',
  };
  const yaml = documents(
    nodes(2),
    namespace('shop'),
    namespace('lax'),
    namespace('outside', {}),
    pod('open', { node: 1, annotations }),
    pod('api', { node: 2 }, 'lax'),
    pod('legacy', { node: 2, labels: { 'test/host': '200' } }, 'lax'),
    pod('stranger', { node: 2 }, 'outside'),
    strict,
  );
  const mesh = await Mesh.start(t, 'meshbyp', { yaml });
  const open = mesh.pod('shop/open');
  const stranger = mesh.pod('outside/stranger');
  for (const port of [8080, 9000]) await greeter(t, open.fd, port);
  for (const name of ['lax/api', 'lax/legacy']) {
    for (const port of [7000, 8080]) await greeter(t, mesh.pod(name).fd, port);
  }
  const sides = [0, 1] as const;
  for (const i of sides) {
    const from = stranger.addresses[i];
    const to = open.addresses[i] ?? '';
    t.equal(await greet(stranger.fd, to, 9000), from, 'inbound: past STRICT, and past the fence');
    await t.rejects(greet(stranger.fd, to, 8080), 'inbound: another port is judged');
  }
  const expected: readonly [string, number, string][] = [
    ['lax/api', 8080, 'mutual_tls'],
    ['lax/api', 7000, 'unknown'],
    ['lax/legacy', 8080, 'unknown'],
  ];
  for (const [name, port, security] of expected) {
    for (const i of sides) {
      const seen = mesh.agent(2).access({ direction: 'inbound' }).length;
      const address = mesh.pod(name).addresses[i] ?? '';
      t.equal(await greet(open.fd, address, port), open.addresses[i]);
      const line = await mesh.access(2, { direction: 'inbound' }, seen);
      t.equal(line['security'], security, `${name}:${port}`);
    }
  }
  await mesh.access(1, { direction: 'outbound' }, 1);
  const lines = mesh.agent(1).access({ direction: 'outbound' });
  t.equal(lines.length, sides.length, 'what is excluded did not come to the agent of its node');
  t.equal((await mesh.proof(1))[0]?.capture?.proven, true, 'and yet the pod is proven captured');
});

test('exclusions of a running pod change with its annotations', { skip }, async (t) => {
  const yamlWith = (annotations: Readonly<Record<string, string>>): string =>
    documents(
      nodes(2),
      namespace('shop'),
      namespace('outside', {}),
      pod('cart', { node: 1, annotations }),
      pod('stranger', { node: 2 }, 'outside'),
      strict,
    );
  const mesh = await Mesh.start(t, 'meshbyp', { yaml: yamlWith({}) });
  const [cart, stranger] = [mesh.pod('shop/cart'), mesh.pod('outside/stranger')];
  for (const port of [8080, 9000]) await greeter(t, cart.fd, port);
  await greeter(t, stranger.fd, 7000);
  const isOpen = async (port: number): Promise<boolean> =>
    greet(stranger.fd, cart.address4 ?? '', port).then(
      () => true,
      () => false,
    );
  const becomes = async (port: number, wanted: boolean): Promise<void> =>
    eventually(`port ${port} is ${wanted ? 'open' : 'shut'}`, async () => {
      if ((await isOpen(port)) !== wanted) throw new Error('not yet');
    });
  const podUid = mesh.podUid('shop/cart');
  t.notOk(await isOpen(9000));
  await mesh.write(
    yamlWith({
      'plumbline.dev/exclude-inbound-ports': '9000',
      'plumbline.dev/exclude-outbound-ports': '7000',
    }),
  );
  await becomes(9000, true);
  t.notOk(await isOpen(8080));
  t.equal(await greet(cart.fd, stranger.address4 ?? '', 7000), cart.address4);
  t.equal(mesh.agent(1).access({ direction: 'outbound' }).length, 0, 'it went past the agent');
  await mesh.write(yamlWith({ 'plumbline.dev/exclude-inbound-ports': '8080' }));
  await becomes(8080, true);
  await becomes(9000, false);
  t.equal(await greet(cart.fd, stranger.address4 ?? '', 7000), cart.address4);
  await mesh.access(1, { direction: 'outbound' });
  t.equal(mesh.podUid('shop/cart'), podUid, 'it is the same pod');
  await mesh.proven();
});

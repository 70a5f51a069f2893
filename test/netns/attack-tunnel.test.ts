/** Tunnels that outlive what they were trusted for, and ways through a pod to somewhere else. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { MARKER } from '../helpers/wire-watch.ts';
import { connectTo, leafOf, openSession } from '../helpers/data-peer.ts';
import { authority, World } from '../helpers/data-world.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { makeAuthority, makeLeaf } from '../helpers/pki.ts';
import { greet, greeter, PodClient } from '../helpers/pod-apps.ts';

const CALLER = 'spiffe://cluster.local/ns/shop/sa/caller';

async function setUp(t: { after(undo: () => void | Promise<void>): void }) {
  const world = new World(t, 1, 'atk');
  const peer = await world.pod('caller', { node: 1, isPlain: true });
  const cart = await world.pod('cart', { node: 2 });
  await greeter(t, cart.fd, 8080);
  const at = { netns: peer.fd, address: cart.address4 ?? '', leaf: leafOf(CALLER) };
  return { world, peer, cart, at, authority: `${cart.address4}:8080` };
}

test(
  'a tunnel gets no new connections once the certificate of its peer has expired',
  { skip },
  async (t) => {
    const { at, authority: to } = await setUp(t);
    const stolen = makeLeaf(authority, { uris: [CALLER], until: 3 });
    const session = await openSession(t, { ...at, leaf: stolen });
    const first = await connectTo(session, to);
    t.equal(first.status, 200, 'it is good while it lasts');
    const [greeting] = await once(first.stream, 'data');
    t.match(String(greeting), MARKER);
    const [code] = await once(session, 'goaway');
    t.equal(code, 0, 'then the peer is told');
    first.stream.write('still here\n');
    const [echo] = await once(first.stream, 'data');
    t.equal(String(echo), 'still here\n', 'what stands goes on');
    await t.rejects(connectTo(session, to), 'and nothing new begins');
  },
);

test('a tunnel gets no new connections once its root is given up', { skip }, async (t) => {
  const { world, cart, at, authority: to } = await setUp(t);
  const young = makeAuthority('young');
  const session = await openSession(t, at);
  const first = await connectTo(session, to);
  t.equal(first.status, 200);
  world.certify(cart, makeLeaf(young, { uris: [cart.identity] }), [authority, young]);
  await delay(1500);
  t.equal((await connectTo(session, to)).status, 200, 'both roots are trusted');
  world.certify(cart, makeLeaf(young, { uris: [cart.identity] }), [young]);
  await once(session, 'goaway');
  await t.rejects(connectTo(session, to), 'the old root is not');
  await t.rejects(openSession(t, at), 'nor for a new tunnel');
});

test('a tunnel of our own is not used once its peer has expired', { skip }, async (t) => {
  const world = new World(t, 1, 'atk');
  const web = await world.pod('web', { node: 1 });
  const cart = await world.pod('cart', { node: 2 });
  await greeter(t, cart.fd, 8080);
  world.certify(cart, makeLeaf(authority, { uris: [cart.identity], until: 3 }));
  const held = new PodClient(web.fd, cart.address4 ?? '', 8080);
  t.equal(await held.line(), web.address4);
  await delay(4500);
  await t.rejects(greet(web.fd, cart.address4 ?? '', 8080), 'no new connection by the old tunnel');
  t.ok(await held.echo('what stands goes on'));
  held.end();
});

test('a pod is no way to addresses that are not its own', { skip }, async (t) => {
  const { world, peer, cart } = await setUp(t);
  await greeter(t, peer.fd, 9999);
  // What a neighbour on the link may do: send anything to the pod's own MAC.
  const node = world.net.node(2);
  for (const address of ['127.0.0.2', '169.254.169.254', '198.51.100.7']) {
    node.exec(
      `ip rule add to ${address} lookup 77 pref 0; ` +
        `ip route replace ${address} via ${cart.address4} table 77; ` +
        'sysctl -qw net.ipv4.conf.all.route_localnet=1',
    );
    await t.rejects(greet(node.fd, address, 8080), address);
  }
  t.match(await world.record(2, ({ error }) => error?.code === 'DESTINATION_MISMATCH'), {
    direction: 'inbound',
    destination: { port: 8080 },
  });
  node.exec(`ip -n ${cart.name} addr add 10.66.200.200/32 dev lo`);
  node.exec(`ip route add 10.66.200.200 via ${cart.address4}`);
  t.equal(
    await greet(peer.fd, '10.66.200.200', 8080).catch(String),
    peer.address4,
    'a further address of the pod is one of its own',
  );
});

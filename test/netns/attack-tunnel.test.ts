/** Tunnels that outlive what they were trusted for, and ways through a pod to somewhere else. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { MARKER } from '../helpers/wire-watch.ts';
import { connectTo, introduce, leafOf, openSession, openTls } from '../helpers/data-peer.ts';
import type { PeerAt } from '../helpers/data-peer.ts';
import { authority, World } from '../helpers/data-world.ts';
import { frame, PREFACE_TEXT } from '../helpers/http2-wire.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { makeAuthority, makeLeaf } from '../helpers/pki.ts';
import { greet, greeter, PodClient } from '../helpers/pod-apps.ts';

const CALLER = 'spiffe://cluster.local/ns/shop/sa/caller';

interface Test {
  after(undo: () => void | Promise<void>): void;
}

async function setUp(t: Test, workers = 1) {
  const world = new World(t, workers, 'atk');
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

test(
  'a peer that breaks the rules waits for its next tunnel, and nobody else does',
  { skip },
  async (t) => {
    const { world, peer, cart, at, authority: to } = await setUp(t, 2);
    const good = { ...at, leaf: leafOf('spiffe://cluster.local/ns/shop/sa/good') };
    const elsewhere = { ...at, address: cart.address6 ?? '' };
    const kept = await openSession(t, good);
    t.equal((await connectTo(kept, to)).status, 200);
    await flood(t, at);
    // The kernel chooses among the two workers; what one has seen the other hears of in a moment.
    await delay(300);
    for (let i = 0; i < 5; i += 1) {
      t.equal(await goodbyeOf(t, at), ENHANCE_YOUR_CALM, 'it is told to wait, by either worker');
    }
    t.match(await world.record(2, ({ error }) => error?.code === 'LIMIT_REACHED'), {
      source: { address: peer.address4, identity: CALLER },
      error: { message: /held for/ },
    });
    t.equal(
      (await connectTo(kept, to)).status,
      200,
      'a tunnel of another at the same address goes on',
    );
    t.equal((await connectTo(await openSession(t, good), to)).status, 200, 'and it gets a new one');
    const far = await openSession(t, elsewhere);
    const over6 = await connectTo(far, `[${cart.address6}]:8080`);
    t.equal(over6.status, 200, 'so does the same identity from another address');
    t.equal(world.plane(2).totals().peersHeld, 1);
    t.ok(world.plane(2).totals().tunnelsRefused >= 1);
    await world.until(async () => (await goodbyeOf(t, at)) === 'none');
    t.equal((await connectTo(await openSession(t, at), to)).status, 200, 'it has waited');
  },
);

test(
  'an address with a peer that is held has few handshakes, and then all again',
  { skip },
  async (t) => {
    const { world, at } = await setUp(t);
    await flood(t, at);
    const all = await Promise.all(Array.from({ length: 60 }, async () => introduce(t, at)));
    t.ok(all.filter((how) => how === 'accepted').length < 60);
    await world.record(2, ({ error }) => /its address is held/.test(error?.message ?? ''));
    await world.until(async () => (await goodbyeOf(t, at)) === 'none');
  },
);

const ENHANCE_YOUR_CALM = 11;

/** Breaks the rules until it is cut for that. */
async function flood(t: Test, at: PeerAt): Promise<void> {
  const tls = await openTls(t, at);
  tls.write(Buffer.concat([Buffer.from(PREFACE_TEXT), frame(4, 0, 0)]));
  const cut = once(tls.resume(), 'close');
  tls.write(Buffer.concat(Array.from({ length: 300 }, () => frame(6, 0, 0, Buffer.alloc(8)))));
  await cut;
}

/** The code of the GOAWAY that a new tunnel gets at once; 'none' when it may stay. */
async function goodbyeOf(t: Test, at: PeerAt): Promise<number | 'none' | 'refused'> {
  try {
    const session = await openSession(t, at);
    const stays = delay(200, 'none' as const);
    const code = once(session, 'goaway').then(([first]) => Number(first));
    return await Promise.race([code, stays]);
  } catch {
    return 'refused';
  }
}

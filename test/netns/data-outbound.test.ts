/** Where a captured pod's connections go, and what happens when they cannot. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { leafOf, peerServer } from '../helpers/data-peer.ts';
import { dial, ending, readAll, serve } from '../helpers/data-sockets.ts';
import { World, type WorldPod } from '../helpers/data-world.ts';
import { backs, balancing, policy, ruleOf, service, strict } from '../helpers/mesh-build.ts';
import { needsRoot } from '../helpers/netns.ts';
import { greet, greeter, PodClient } from '../helpers/pod-apps.ts';

interface Test {
  after(undo: () => void | Promise<void>): void;
}

const SHOP = service('cart', {
  addresses: ['10.32.0.7', 'fd00:32::7'],
  loadBalancing: { ...balancing, algorithm: 'round-robin' },
});
const IN_SHOP = { over: { ...backs(SHOP), canonicalName: 'cart', serviceAccount: 'cart' } };

/** A pod speaks HBONE by somebody else's server, in the place of an agent. */
async function foreignPeer(t: Test, world: World, uri: string) {
  const pod = await world.pod('foreign', { node: 2, isPlain: true });
  const seen = world.pods.indexOf(pod);
  world.pods[seen] = { ...pod, workload: { ...pod.workload, tunnel: 'hbone' } };
  const server = await peerServer(t, {
    netns: pod.fd,
    leaf: leafOf(uri),
    maxStreams: 50,
    onStream: (stream) => {
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    },
  });
  const web = await world.pod('web', { node: 1 });
  world.publish();
  await world.until(() => world.plane(1).totals().version === world.version);
  return { pod, server, web };
}

const settled = async (world: World): Promise<void> =>
  world.until(() => world.planes.every((plane) => plane.totals().version === world.version));

test(
  'a service address leads to its endpoints, on the same node as well',
  { skip: needsRoot },
  async (t) => {
    const world = new World(t);
    world.services = [SHOP];
    const web = await world.pod('web', { node: 1 });
    const near = await world.pod('cart-0', { node: 1, ...IN_SHOP });
    const far = await world.pod('cart-1', { node: 2, ...IN_SHOP });
    const [one, other] = [await greeter(t, near.fd, 8080), await greeter(t, far.fd, 8080)];
    await settled(world);
    for (let i = 0; i < 4; i += 1) await greet(web.fd, '10.32.0.7', 80);
    t.equal(one.clients.length, 2);
    t.equal(other.clients.length, 2);
    t.match(await greet(web.fd, 'fd00:32::7', 80), web.address6 ?? '');
    t.match(await world.record(1, ({ direction }) => direction === 'outbound'), {
      service: SHOP.key,
      security: 'mutual_tls',
      destination: { port: 8080 },
    });
    const refused = dial(t, web.fd, '10.32.0.7', 81);
    t.equal(await ending(refused), 'ECONNRESET', 'a port that the service does not have');
    t.match(await world.record(1, ({ error }) => error !== undefined), {
      error: { code: 'NO_HEALTHY_ENDPOINT' },
    });
  },
);

test(
  'an endpoint that does not answer costs the connection nothing but time',
  { skip: needsRoot },
  async (t) => {
    const world = new World(t);
    world.services = [SHOP];
    const web = await world.pod('web', { node: 1 });
    await world.pod('cart-0', { node: 2, ...IN_SHOP });
    const good = await world.pod('cart-1', { node: 2, ...IN_SHOP });
    await greeter(t, good.fd, 8080);
    await settled(world);
    for (let i = 0; i < 6; i += 1) {
      t.equal(await greet(web.fd, '10.32.0.7', 80), web.address4);
    }
    t.ok(world.plane(1).totals().retries > 0);
  },
);

test(
  'what the mesh does not know passes as it is, what it knows as plain goes plain',
  { skip: needsRoot },
  async (t) => {
    const world = new World(t);
    const web = await world.pod('web', { node: 1 });
    const plain = await world.pod('plain', { node: 2, isPlain: true });
    await greeter(t, plain.fd, 8080);
    for (const isKnown of [true, false]) {
      if (!isKnown) world.pods.splice(world.pods.indexOf(plain), 1);
      world.publish();
      await settled(world);
      t.equal(await greet(web.fd, plain.address4 ?? '', 8080), web.address4);
      t.match(await world.record(1), {
        security: 'unknown',
        hboneAddress: '',
        destination: { workload: isKnown ? 'plain' : '' },
      });
    }
    const closed = dial(t, web.fd, plain.address4 ?? '', 8099);
    t.equal(await ending(closed), 'ECONNRESET');
    t.match(await world.record(1), { flag: 'CONNECT', error: { code: 'CONNECT_FAILED' } });
  },
);

test(
  'plain callers are let in, until STRICT says otherwise, live ones too',
  { skip: needsRoot },
  async (t) => {
    const world = new World(t);
    const caller = await world.pod('caller', { node: 1, isPlain: true });
    const cart = await world.pod('cart', { node: 2 });
    await greeter(t, cart.fd, 8080);
    for (const [from, to] of [
      [caller.address4, cart.address4],
      [caller.address6, cart.address6],
    ]) {
      t.equal(await greet(caller.fd, to ?? '', 8080), from);
      t.match(await world.record(2), { security: 'unknown', source: { address: from } });
    }
    const live = new PodClient(caller.fd, cart.address4 ?? '', 8080);
    await live.line();
    const cut = ending(live.socket);
    world.policies = [strict()];
    world.publish();
    await cut;
    t.match(await world.record(2), { flag: 'DENY', error: { code: 'POLICY_CHANGED' } });
    t.match(await ending(dial(t, caller.fd, cart.address4 ?? '', 8080)), 'ECONNRESET');
    t.match(await world.record(2), {
      flag: 'DENY',
      policy: 'peer-authentication/shop/strict',
      error: { code: 'POLICY_DENIED' },
    });
  },
);

test('no way leads from a pod to the agent itself (V24)', { skip: needsRoot }, async (t) => {
  const world = new World(t);
  const web = await world.pod('web', { node: 1 });
  const other = await world.pod('other', { node: 2, isPlain: true });
  for (const address of [web.address4, web.address6, '127.0.0.1', '::1']) {
    for (const port of [15001, 15006]) {
      const socket = dial(t, web.fd, address ?? '', port);
      socket.write('anything');
      t.not(await ending(socket), 'end', `${address}:${port}`);
      t.match(await world.record(1), { error: { code: 'LOOP_REFUSED' }, bytesSent: 0 });
    }
  }
  for (const port of [15001, 15006]) {
    t.not(await ending(dial(t, other.fd, web.address4 ?? '', port)), 'end', 'from outside');
    t.match(await world.record(1), { error: { code: 'LOOP_REFUSED' } });
  }
});

test(
  'a peer of another identity or trust domain gets nothing (V12, V13)',
  { skip: needsRoot },
  async (t) => {
    for (const uri of [
      'spiffe://cluster.local/ns/shop/sa/other',
      'spiffe://elsewhere/ns/shop/sa/foreign',
    ]) {
      const world = new World(t);
      const { pod, server, web } = await foreignPeer(t, world, uri);
      t.equal(await ending(dial(t, web.fd, pod.address4 ?? '', 8080)), 'ECONNRESET');
      t.match(await world.record(1), { flag: 'TLS_FAILURE', error: { code: 'IDENTITY_MISMATCH' } });
      t.strictSame(server.requests, []);
    }
  },
);

test(
  'many connections share tunnels within what the peer allows (V18), as the request says who',
  { skip: needsRoot },
  async (t) => {
    const world = new World(t);
    const { pod, server, web } = await foreignPeer(
      t,
      world,
      'spiffe://cluster.local/ns/shop/sa/foreign',
    );
    const sockets = Array.from({ length: 101 }, () => dial(t, web.fd, pod.address4 ?? '', 8080));
    for (const [i, socket] of sockets.entries()) {
      socket.write(`hello ${i}`);
      const [echo] = await once(socket, 'data');
      t.equal(String(echo), `hello ${i}`);
    }
    t.equal(server.sessions.length, 3, 'of 50 streams each');
    t.match(server.requests[0], {
      ':authority': `${pod.address4}:8080`,
      baggage: /k8s\.cluster\.name=Kubernetes,k8s\.namespace\.name=shop,k8s\.deployment\.name=web/,
      forwarded: new RegExp(`^for="${web.address4}:\\d+"$`),
      traceparent: /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/,
    });
  },
);

test(
  'after a GOAWAY old streams go on and new ones take a new tunnel (V19)',
  { skip: needsRoot },
  async (t) => {
    const world = new World(t);
    const { pod, server, web } = await foreignPeer(
      t,
      world,
      'spiffe://cluster.local/ns/shop/sa/foreign',
    );
    const old = dial(t, web.fd, pod.address4 ?? '', 8080);
    old.write('one');
    await once(old, 'data');
    server.sessions[0]?.goaway(0, server.requests.length * 2 - 1);
    await delay(200);
    const fresh = dial(t, web.fd, pod.address4 ?? '', 8080);
    fresh.write('two');
    t.equal(String((await once(fresh, 'data'))[0]), 'two');
    t.equal(server.sessions.length, 2);
    old.write('three');
    t.equal(String((await once(old, 'data'))[0]), 'three');
    old.end();
    t.equal((await readAll(old)).length, 0);
  },
);

test(
  'a tunnel that dies takes its streams with it, and the next one opens (V20)',
  { skip: needsRoot },
  async (t) => {
    const world = new World(t);
    const { pod, server, web } = await foreignPeer(
      t,
      world,
      'spiffe://cluster.local/ns/shop/sa/foreign',
    );
    const old = dial(t, web.fd, pod.address4 ?? '', 8080);
    old.write('one');
    await once(old, 'data');
    const end = ending(old);
    server.sessions[0]?.destroy();
    t.equal(await end, 'ECONNRESET');
    t.match(await world.record(1), { error: { code: 'TUNNEL_LOST' } });
    const fresh = dial(t, web.fd, pod.address4 ?? '', 8080);
    fresh.write('two');
    t.equal(String((await once(fresh, 'data'))[0]), 'two');
  },
);

test('a policy at the far end is told to the near one (V10)', { skip: needsRoot }, async (t) => {
  const world = new World(t);
  const web = await world.pod('web', { node: 1 });
  const cart = await world.pod('cart', { node: 2 });
  await serve(t, { netns: cart.fd, port: 8080 }, (client) => client.end());
  world.policies = [policy('nobody', ruleOf({ principals: ['cluster.local/ns/shop/sa/nobody'] }))];
  world.publish();
  await settled(world);
  t.equal(await ending(dial(t, web.fd, cart.address4 ?? '', 8080)), 'ECONNRESET');
  t.match(await world.record(1), {
    error: { code: 'HBONE_CONNECT_FAILED', message: /401 \(POLICY_DENIED\)/ },
    retries: 0,
  });
  t.match(await world.record(2), { flag: 'DENY', policy: 'authorization/shop/nobody' });
});

test(
  'a pod whose record or certificate comes late loses nothing',
  { skip: needsRoot },
  async (t) => {
    const world = new World(t);
    const cart = await world.pod('cart', { node: 2 });
    await greeter(t, cart.fd, 8080);
    const web = await world.pod('web', { node: 1 });
    const hide = (pod: WorldPod): void => {
      world.pods.splice(world.pods.indexOf(pod), 1);
      world.publish();
    };
    hide(web);
    world.plane(1).removeCredentials(web.identity);
    await settled(world);
    const early = greet(web.fd, cart.address4 ?? '', 8080);
    await delay(300);
    world.pods.push(web);
    world.publish();
    await delay(300);
    world.certify(web, leafOf(web.identity));
    t.equal(await early, web.address4);
  },
);

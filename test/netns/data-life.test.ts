/** Workers that die, pods that go, agents that hand over: what is cut then, and what is not. */
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import { test } from 'tap';
import { inNetns } from '#common/sys/netns.ts';
import { mark } from '#common/sys/socket-options.ts';
import { localOf, connect, socket, closeFd } from '#common/sys/libc.ts';
import { receiveDescriptors, sendDescriptors, unixPair } from '#common/sys/unix-socket.ts';
import { DataPlane } from '../../node-agent/data/data-plane.ts';
import type { Listener } from '../../node-agent/data/messages.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import { chainPem } from '../helpers/pki.ts';
import { leafOf } from '../helpers/data-peer.ts';
import { authority, World } from '../helpers/data-world.ts';
import { dial, ending, serve } from '../helpers/data-sockets.ts';
import { snapshot } from '../helpers/mesh-build.ts';
import { needsRoot } from '../helpers/netns.ts';
import { greet, greeter, PodClient } from '../helpers/pod-apps.ts';
import { silent } from '../helpers/silent-log.ts';

test('a worker that dies is replaced and its listeners go on', { skip: needsRoot }, async (t) => {
  const workers: Worker[] = [];
  const note = (worker: Worker): void => {
    workers.push(worker);
  };
  process.on('worker', note);
  t.after(() => {
    process.off('worker', note);
  });
  const world = new World(t);
  const web = await world.pod('web', { node: 1 });
  const cart = await world.pod('cart', { node: 2 });
  await greeter(t, cart.fd, 8080);
  const live = new PodClient(web.fd, cart.address4 ?? '', 8080);
  await live.line();
  const cut = ending(live.socket);
  // The first of the two planes was started first.
  await workers[0]?.terminate();
  t.not(await cut, 'end', 'its connections end with it, and do not hang');
  t.equal(await greet(web.fd, cart.address4 ?? '', 8080), web.address4);
  t.equal(workers.length, 3);
  await world.until(() => world.plane(1).totals().outboundOpen === 0);
});

test(
  'removePod() lets connections end, then cuts them, and leaves no descriptor',
  { skip: needsRoot },
  async (t) => {
    const world = new World(t);
    const web = await world.pod('web', { node: 1 });
    const before = openSockets();
    const cart = await world.pod('cart', { node: 2 });
    await serve(t, { netns: cart.fd, port: 8080 }, (client) => client.pipe(client));
    const one = dial(t, web.fd, cart.address4 ?? '', 8080);
    one.write('one');
    await once(one, 'data');
    const other = dial(t, web.fd, cart.address4 ?? '', 8080);
    other.write('two');
    await once(other, 'data');
    const removed = world.plane(2).removePod(cart.podUid, 1500);
    one.write('goes on');
    t.equal(String((await once(one, 'data'))[0]), 'goes on');
    one.destroy();
    const cut = ending(other);
    await removed;
    t.equal(await cut, 'ECONNRESET');
    t.match(await world.record(2, ({ error }) => error !== undefined), {
      error: { code: 'STOPPING' },
    });
    await world.until(() => world.plane(1).totals().tunnelsOpen === 0);
    cart.remove();
    await world.until(() => openSockets() <= before + 1);
    t.pass('none is left but the test server');
  },
);

test(
  'a successor takes the listeners over and no connection is refused',
  { skip: needsRoot },
  async (t) => {
    const world = new World(t);
    const web = await world.pod('web', { node: 1 });
    const cart = await world.pod('cart', { node: 2 });
    await greeter(t, cart.fd, 8080);
    const old = new PodClient(web.fd, cart.address4 ?? '', 8080);
    await old.line();

    const next = new DataPlane({
      workers: 2,
      log: silent,
      onClosed: () => {},
      onProbe: () => {},
      blockedBy: () => () => undefined,
      snapshot: () => undefined,
    });
    next.start();
    t.after(async () => next.stop());
    next.applyUpdate(
      packUpdate(snapshot({ workloads: world.pods.map((pod) => pod.workload) }, 100)),
    );
    const leaf = leafOf(web.identity);
    next.setCredentials(web.identity, {
      chainPem: chainPem(leaf),
      keyPem: leaf.keyPem,
      rootsPem: [authority.pem],
    });

    const over = new AbortController();
    let made = 0;
    const load = (async () => {
      while (!over.signal.aborted) {
        t.equal(await greet(web.fd, cart.address4 ?? '', 8080), web.address4);
        made += 1;
      }
    })();
    const [given] = world.plane(1).listeners();
    next.addPod({
      podUid: web.podUid,
      uid: web.workload.uid,
      identity: web.identity,
      addresses: web.addresses,
      netns: web.fd,
      options: {},
      listeners: handOver(given?.listeners ?? []),
    });
    await world.plane(1).releaseListeners();
    const before = made;
    await world.until(() => made > before + 20);
    over.abort();
    await load;
    t.ok(next.totals().accepted > 0, 'by the successor');
    t.ok(await old.echo('still there'), 'what the old one carries goes on');
    const drained = world.plane(1).drain(10_000);
    old.end();
    await drained;
  },
);

test('probes are reported, carried nowhere and leave no record', { skip: needsRoot }, async (t) => {
  const world = new World(t);
  const web = await world.pod('web', { node: 1 });
  const source = probe(web.fd, '192.0.2.77', 4711);
  await world.until(() => world.probes.length === 1);
  t.match(world.probes.pop(), {
    podUid: web.podUid,
    direction: 'outbound',
    address: '192.0.2.77',
    port: 4711,
    sourcePort: source,
  });
  const token = { podUid: web.podUid, address: web.address4 ?? '', port: 4712 };
  await world.plane(1).expectProbe(token);
  const fromNode = probe(world.net.node(1).fd, token.address, token.port, true);
  await world.until(() => world.probes.length === 1);
  t.match(world.probes.pop(), { ...token, direction: 'inbound', sourcePort: fromNode });
  t.equal(world.records[0]?.length, 0);
  probe(world.net.node(1).fd, token.address, token.port, true);
  t.match(await world.record(1), { direction: 'inbound' }, 'a token serves once');
});

test('connections() lists what lives, with its bytes so far', { skip: needsRoot }, async (t) => {
  const world = new World(t, 2);
  const web = await world.pod('web', { node: 1 });
  const cart = await world.pod('cart', { node: 2 });
  await serve(t, { netns: cart.fd, port: 8080 }, (client) => client.pipe(client));
  const client = dial(t, web.fd, cart.address4 ?? '', 8080);
  client.write('12345');
  await once(client, 'data');
  const [outbound] = await world.plane(1).connections();
  t.match(outbound, { podUid: web.podUid, direction: 'outbound', bytesSent: 5, bytesReceived: 5 });
  const [inbound] = await world.plane(2).connections();
  t.match(inbound, { podUid: cart.podUid, direction: 'inbound', bytesSent: 5 });
  const row = world
    .plane(2)
    .flows()
    .find(({ opened }) => opened > 0);
  t.match(row, {
    labels: { reporter: 'destination', source: { workload: 'web' }, security: 'mutual_tls' },
    requestBytes: 5,
    responseBytes: 5,
  });
});

function openSockets(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      return false; // Closed meanwhile.
    }
  }).length;
}

/** As descriptors come out of a socket from another process: new numbers for the same sockets. */
function handOver(listeners: readonly Listener[]): Listener[] {
  const pair = unixPair();
  if (pair === undefined) throw new Error('no socket pair');
  const [from, to] = pair;
  sendDescriptors(
    from,
    Buffer.from('listeners'),
    listeners.map(({ fd }) => fd),
  );
  const received = receiveDescriptors(to);
  closeFd(from);
  closeFd(to);
  if (typeof received === 'number') throw new Error(`errno ${-received}`);
  return listeners.map(({ service }, i) => ({ service, fd: received.descriptors[i] ?? -1 }));
}

/** Begins a connection as the proof does and returns the port from which it comes. */
function probe(netns: number, address: string, port: number, isMarked = false): number {
  const fd = inNetns(netns, () => socket(4));
  if (isMarked) mark(fd, 0x4d1);
  connect(fd, address, port);
  const local = localOf(fd)?.port ?? 0;
  setTimeout(() => closeFd(fd), 500);
  return local;
}

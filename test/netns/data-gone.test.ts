/** Pods that vanish with their network, or are only said to have gone: what becomes of their tunnels. */
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { DOUBT_MS } from '#common/hbone/keep-alive.ts';
import type { Workload } from '#common/mesh/workload.ts';
import { World, type WorldPod } from '../helpers/data-world.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { greet, greeter, PodClient } from '../helpers/pod-apps.ts';
import { SLACK } from '../helpers/slack.ts';

/** Far below the 20 s after which unanswered PINGs end a tunnel. */
const SOON_MS = SLACK * 3000;

/** The mesh learns that a pod is no more. */
function drop(world: World, pod: WorldPod): void {
  world.pods.splice(world.pods.indexOf(pod), 1);
  world.publish();
}

/** The mesh learns something else of a pod. */
function change(world: World, pod: WorldPod, over: Partial<Workload>): void {
  world.pods.splice(world.pods.indexOf(pod), 1, { ...pod, workload: { ...pod.workload, ...over } });
  world.publish();
}

async function setUp(t: ConstructorParameters<typeof World>[0]) {
  const world = new World(t);
  const [web, other, cart] = [
    await world.pod('web', { node: 1 }),
    await world.pod('other', { node: 1 }),
    await world.pod('cart', { node: 2 }),
  ];
  await greeter(t, cart.fd, 8080);
  const to = cart.address4 ?? '';
  const served = (): number => world.plane(2).totals().serverTunnelsOpen;
  const used = (): number => world.plane(1).totals().tunnelsOpen;
  await greet(web.fd, to, 8080);
  await greet(other.fd, to, 8080);
  const streams = (): number =>
    world.plane(1).totals().outboundOpen + world.plane(2).totals().inboundOpen;
  await world.until(() => served() === 2 && used() === 2 && streams() === 0);
  return { world, web, other, cart, to, served, used };
}

test('the tunnels of a pod that vanished end with its record', { skip }, async (t) => {
  const { world, web, other, to, served } = await setUp(t);
  change(world, web, { health: 'terminating' });
  await delay(500);
  t.equal(served(), 2, 'a pod that is going away keeps its tunnel');
  web.remove();
  const start = performance.now();
  world.pods.splice(0, 1);
  world.publish();
  await world.until(() => served() === 1);
  const ms = performance.now() - start;
  t.ok(ms < SOON_MS, `${Math.round(ms)} ms`);
  t.equal(await greet(other.fd, to, 8080), other.address4);
  t.equal(served(), 1, 'the other pod uses the tunnel that it had');
});

test('the tunnels to a pod that vanished end with its record', { skip }, async (t) => {
  const { world, cart, used } = await setUp(t);
  cart.remove();
  const start = performance.now();
  drop(world, cart);
  await world.until(() => used() === 0);
  const ms = performance.now() - start;
  t.ok(ms < SOON_MS, `${Math.round(ms)} ms`);
});

test(
  'a connection outlives the record of its pod, but not the pod',
  { skip, timeout: 60_000 },
  async (t) => {
    const { world, web, to, served, used } = await setUp(t);
    const client = new PodClient(web.fd, to, 8080);
    await client.line();
    drop(world, web);
    await delay(DOUBT_MS + 2000);
    client.socket.write('still here\n');
    t.equal(await client.line(), 'still here');
    t.equal(served(), 2);
    client.socket.destroy();
    await world.until(() => served() === 1 && used() === 1);
  },
);

test('a connection of a pod that vanished ends soon', { skip, timeout: 60_000 }, async (t) => {
  const { world, web, to, served } = await setUp(t);
  const client = new PodClient(web.fd, to, 8080);
  await client.line();
  web.remove();
  const start = performance.now();
  drop(world, web);
  await world.until(() => served() === 1);
  const ms = performance.now() - start;
  t.ok(ms >= DOUBT_MS / 2 && ms < DOUBT_MS + SOON_MS, `${Math.round(ms)} ms`);
  client.socket.destroy();
});

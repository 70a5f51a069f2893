/** Connections to a pod whose agent does not listen yet: they wait for it, and not for ever. */
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { JOIN_PATIENCE_MS } from '../../node-agent/data/limits.ts';
import { authority, World } from '../helpers/data-world.ts';
import type { WorldPod } from '../helpers/data-world.ts';
import { leafOf } from '../helpers/data-peer.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';
import { chainPem } from '../helpers/pki.ts';

interface Test {
  after(undo: () => void | Promise<void>): void;
}

/** A pod that everybody takes for one of the mesh, and that no agent has captured. */
async function labelled(t: Test, world: World): Promise<WorldPod> {
  const cart = await world.pod('cart', { node: 2, isPlain: true, over: { tunnel: 'hbone' } });
  await greeter(t, cart.fd, 8080);
  return cart;
}

test('a connection to a pod that joins waits until its agent listens', { skip }, async (t) => {
  const world = new World(t);
  const web = await world.pod('web', { node: 1 });
  const cart = await labelled(t, world);
  const greetings = Array.from({ length: 20 }, async () =>
    greet(web.fd, cart.address4 ?? '', 8080),
  );
  await delay(200);
  const leaf = leafOf(cart.identity);
  world.plane(2).setCredentials(cart.identity, {
    chainPem: chainPem(leaf),
    keyPem: leaf.keyPem,
    rootsPem: [authority.pem],
  });
  await world.capture(cart, () => world.add(cart));
  for (const source of await Promise.all(greetings)) t.equal(source, web.address4);
  t.match(await world.record(2), { direction: 'inbound', security: 'mutual_tls' }, 'in the tunnel');
});

test(
  'a pod whose agent never comes is given up, and never reached in clear',
  { skip },
  async (t) => {
    const world = new World(t);
    const web = await world.pod('web', { node: 1 });
    const cart = await labelled(t, world);
    const startedAt = performance.now();
    await t.rejects(greet(web.fd, cart.address4 ?? '', 8080));
    const ms = performance.now() - startedAt;
    t.ok(ms > JOIN_PATIENCE_MS - 100, `after ${Math.round(ms)} ms`);
    t.match(await world.record(1, ({ error }) => error !== undefined), {
      error: { code: 'CONNECT_FAILED', message: /ECONNREFUSED/ },
    });
  },
);

test('where nobody waits for an agent, a refusal is told at once', { skip }, async (t) => {
  const world = new World(t);
  const web = await world.pod('web', { node: 1 });
  const plain = await world.pod('plain', { node: 2, isPlain: true });
  const startedAt = performance.now();
  await t.rejects(greet(web.fd, plain.address4 ?? '', 8080));
  t.ok(performance.now() - startedAt < JOIN_PATIENCE_MS - 200);
});

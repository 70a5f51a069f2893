/** Connections between captured pods of two nodes: what arrives, as whom, and what is said of it. */
import { test } from 'tap';
import { World } from '../helpers/data-world.ts';
import { needsRoot } from '../helpers/netns.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';

test(
  'a connection to a pod goes through the tunnel and keeps its source address',
  { skip: needsRoot },
  async (t) => {
    const world = new World(t);
    const web = await world.pod('web', { node: 1 });
    const cart = await world.pod('cart', { node: 2 });
    await greeter(t, cart.fd, 8080);
    for (const [from, to] of [
      [web.address4, cart.address4],
      [web.address6, cart.address6],
    ]) {
      if (from === undefined || to === undefined) throw new TypeError('dual stack is the default');
      t.equal(await greet(web.fd, to, 8080), from);
      const seen = await world.record(1);
      t.match(seen, {
        direction: 'outbound',
        security: 'mutual_tls',
        source: { address: from, workload: 'web', identity: web.identity },
        destination: { address: to, port: 8080, workload: 'cart', identity: cart.identity },
      });
      const told = await world.record(2);
      t.match(told, { direction: 'inbound', security: 'mutual_tls', source: { address: from } });
    }
  },
);

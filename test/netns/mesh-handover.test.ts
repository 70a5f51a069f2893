/** An agent is replaced, and connections that stand go on: every byte, both directions, many times. */
import { setTimeout as delay } from 'node:timers/promises';
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
import { needsRoot } from '../helpers/netns.ts';
import { greeter, PodClient } from '../helpers/pod-apps.ts';

const yaml = documents(
  nodes(2),
  namespace('shop'),
  account('web'),
  account('cart'),
  pod('web', { node: 1, account: 'web' }),
  pod('cart', { node: 2, account: 'cart' }),
  peerAuthentication('strict', { mtls: { mode: 'STRICT' } }),
);

test('a standing connection goes on in the successor', { skip: needsRoot }, async (t) => {
  const mesh = await Mesh.start(t, 'meshhan', { yaml, agentFlags: ['--drain', '1s'] });
  const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
  await greeter(t, cart.fd, 8080);
  const client = new PodClient(web.fd, cart.address4 ?? '', 8080);
  await client.line();
  for (const node of [1, 2, 1, 2]) {
    const old = mesh.agent(node);
    const next = mesh.successor(node);
    next.start();
    t.equal(await old.exit(), 0);
    mesh.replaceAgent(node, next);
    t.comment(
      old.lines
        .slice(-8)
        .map((l) => JSON.stringify(l))
        .join('\n'),
    );
    t.comment(
      next.lines
        .slice(-8)
        .map((l) => JSON.stringify(l))
        .join('\n'),
    );
    t.ok(await client.echo(`after the agent of node ${node}`));
  }
  await delay(100);
  client.end();
});

/** Agents and controllers that are killed, replaced and away: what goes on, what fails, and how. */
import { chmodSync, statSync } from 'node:fs';
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
import { greet, greeter, PodClient } from '../helpers/pod-apps.ts';
import { eventually } from '../helpers/program.ts';

const yaml = documents(
  nodes(2),
  namespace('shop'),
  account('web'),
  account('cart'),
  pod('web', { node: 1, account: 'web' }),
  pod('cart', { node: 2, account: 'cart' }),
  peerAuthentication('strict', { mtls: { mode: 'STRICT' } }),
);

test(
  'without an agent connections fail and nothing passes in clear; the next agent serves again',
  { skip: needsRoot },
  async (t) => {
    const mesh = await Mesh.start(t, 'meshres', { yaml });
    const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
    const address = cart.address4 ?? '';
    await greeter(t, cart.fd, 8080);
    t.equal(await greet(web.fd, address, 8080), web.address4);
    for (const node of [1, 2]) {
      await mesh.agent(node).end('SIGKILL');
      await t.rejects(greet(web.fd, address, 8080), `without the agent of node ${node}`);
      const runDir = `${mesh.directory}/node-${node}`;
      chmodSync(runDir, 0o755);
      mesh.agent(node).start();
      const seen = await eventually('it serves again', async () => greet(web.fd, address, 8080));
      t.equal(seen, web.address4);
      t.equal(statSync(runDir).mode & 0o777, 0o700, 'nobody else looks into its directory');
    }
    await mesh.proven();
    t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');
  },
);

test(
  'a successor takes the listeners over, and no new connection fails',
  { skip: needsRoot },
  async (t) => {
    const mesh = await Mesh.start(t, 'meshres', { yaml, agentFlags: ['--drain', '1s'] });
    const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
    await greeter(t, cart.fd, 8080);
    const load = { made: 0, failures: new Array<unknown>(), isOver: false };
    const client = async (): Promise<void> => {
      while (!load.isOver) {
        try {
          await greet(web.fd, cart.address4 ?? '', 8080);
          load.made += 1;
        } catch (error) {
          load.failures.push(error);
        }
      }
    };
    const clients = Promise.all([client(), client(), client(), client()]);
    await delay(300);
    for (const node of [1, 2, 1, 2]) {
      const old = mesh.agent(node);
      const next = mesh.successor(node);
      next.start();
      t.equal(await old.exit(), 0, `the old agent of node ${node} ends by itself`);
      mesh.replaceAgent(node, next);
    }
    await delay(300);
    load.isOver = true;
    await clients;
    t.ok(load.made > 100, `${load.made} connections`);
    t.strictSame(load.failures, []);
    await mesh.proven();
    t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');
  },
);

test(
  'without a controller everything known goes on, after a restart of the agents too',
  { skip: needsRoot },
  async (t) => {
    const mesh = await Mesh.start(t, 'meshres', { yaml });
    const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
    await greeter(t, cart.fd, 8080);
    const standing = new PodClient(web.fd, cart.address6 ?? '', 8080);
    t.equal(await standing.line(), web.address6);
    // What is known must be on disk before it can outlive the agent.
    await eventually('the state is saved', async () => mesh.saved());
    await mesh.controller.end('SIGKILL');
    t.ok(await standing.echo('a standing connection goes on'));
    t.equal(await greet(web.fd, cart.address4 ?? '', 8080), web.address4, 'a new one as well');
    for (const node of [1, 2]) {
      await mesh.agent(node).end('SIGKILL');
      mesh.agent(node).start();
    }
    t.equal(
      await eventually('agents serve again', async () => greet(web.fd, cart.address4 ?? '', 8080)),
      web.address4,
    );
    t.equal(await greet(web.fd, cart.address6 ?? '', 8080), web.address6);
    await mesh.proven();
    mesh.controller.start();
    await eventually('agents are connected again', async () => {
      const agents = await mesh.controller.ask<unknown[]>('/v1/agents');
      if (agents.length < 2) throw new Error(`${agents.length} are`);
    });
    t.equal(await greet(web.fd, cart.address4 ?? '', 8080), web.address4);
  },
);

/** A successor that never gets ready: what it must not take from the agent that serves. */
import { mkdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { Mesh } from '../helpers/mesh.ts';
import { account, documents, namespace, nodes, pod } from '../helpers/mesh-yaml.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { greet, greeter, PodClient } from '../helpers/pod-apps.ts';
import { eventually, Program } from '../helpers/program.ts';

/** Longer than a successor waits for pods that it alone knows of. */
const LONGER_THAN_PATIENT_MS = 23_000;

test(
  'an agent goes on serving beside a successor that never has a state of the mesh',
  {
    skip,
  },
  async (t) => {
    const mesh = await Mesh.start(t, 'meshunr', {
      yaml: documents(
        nodes(1),
        namespace('shop'),
        account('cart'),
        pod('web', { node: 1 }),
        pod('cart', { node: 1, account: 'cart' }),
      ),
      nodes: 1,
    });
    const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
    await greeter(t, cart.fd, 8080);
    const [address = ''] = cart.addresses;
    const live = new PodClient(web.fd, address, 8080);
    await live.line();
    const { netns, socket, args } = mesh.agent(1);
    const elsewhere = `${mesh.directory}/elsewhere`;
    mkdirSync(elsewhere, { mode: 0o700 });
    const lost = ['--state-dir', elsewhere, '--controller', 'wss://10.99.0.99:15012'];
    const successor = new Program(netns, socket, [...args, ...lost]);
    t.after(async () => successor.end('SIGKILL'));
    successor.start();
    const says = (program: Program, message: string): boolean =>
      program.lines.some((line) => line['message'] === message);
    await eventually('it has come', async () => {
      if (!says(successor, 'node agent started')) throw new Error('not yet');
    });
    t.ok(says(successor, 'listeners received from a predecessor'));
    await delay(LONGER_THAN_PATIENT_MS);
    t.notOk(says(mesh.agent(1), 'a successor took connections'));
    t.notOk(says(successor, 'ready'));
    t.ok(await live.echo('a connection that stood goes on'));
    for (let i = 0; i < 20; i += 1) t.equal(await greet(web.fd, address, 8080), web.addresses[0]);
    await successor.end('SIGKILL');
    const third = mesh.successor(1);
    third.start();
    await eventually('the old one is replaced by one that can', async () => {
      if (!says(third, 'ready')) throw new Error('not yet');
    });
    mesh.replaceAgent(1, third);
    await mesh.proven();
    t.ok(await live.echo('and goes on there'));
    t.equal(await greet(web.fd, address, 8080), web.addresses[0]);
  },
);

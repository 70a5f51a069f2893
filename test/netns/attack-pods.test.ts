/** Pods that could slip out of the mesh: by vanishing from it, or with a new namespace. */
import { rmSync, symlinkSync } from 'node:fs';
import { test } from 'tap';
import { Mesh } from '../helpers/mesh.ts';
import { documents, namespace, nodes, pod } from '../helpers/mesh-yaml.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';
import { eventually } from '../helpers/program.ts';

const yaml = documents(
  nodes(2),
  namespace('shop'),
  pod('web', { node: 1 }),
  pod('cart', { node: 2 }),
);

test(
  'a pod that vanishes from the mesh while it runs does not go on in clear',
  { skip },
  async (t) => {
    const mesh = await Mesh.start(t, 'atk', { yaml });
    const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
    await greeter(t, cart.fd, 8080);
    const to = cart.address4 ?? '';
    t.equal(await greet(web.fd, to, 8080), web.address4);
    const podUid = mesh.podUid('shop/web');
    const { addresses } = web;
    const ended = { podUid, addresses, phase: 'Failed', ready: false, terminating: true };
    await mesh.controller.ask('/v1/directory/runtime', 'POST', { pods: [ended], gone: [] });
    await eventually('the agent has let go of it', async () => {
      const rows = await mesh.proof(1);
      if (rows.length > 0) throw new Error(JSON.stringify(rows));
    });
    for (const address of cart.addresses) {
      await t.rejects(greet(web.fd, address, 8080), `what still runs is cut off: ${address}`);
    }
    t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');
    const back = { podUid, addresses, phase: 'Running', ready: true, terminating: false };
    await mesh.controller.ask('/v1/directory/runtime', 'POST', { pods: [back], gone: [] });
    await mesh.proven();
    t.equal(await greet(web.fd, to, 8080), web.address4, 'and it may come back');
    t.equal(mesh.wire.report().inClear, 0);
  },
);

test(
  'a pod that gets a new namespace under its old uid is captured in that',
  { skip },
  async (t) => {
    const mesh = await Mesh.start(t, 'atk', { yaml });
    const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
    await greeter(t, cart.fd, 8080);
    const to = cart.address4 ?? '';
    t.equal(await greet(web.fd, to, 8080), web.address4);
    const file = `${mesh.directory}/netns/${mesh.podUid('shop/web')}`;
    const host = Number(web.address4?.split('.')[3]);
    rmSync(file);
    web.remove();
    const again = mesh.net.node(1).pod('again', { host });
    t.equal(again.address4, web.address4, 'the same pod, the same address, another namespace');
    symlinkSync(again.path, file);
    await eventually('its rules are there', async () => {
      if (!again.exec('iptables-save -t nat').includes('PLUMB_OUTPUT')) throw new Error('not yet');
    });
    await mesh.proven();
    t.equal(await greet(again.fd, to, 8080), web.address4);
    t.match(await mesh.access(2, { direction: 'inbound' }, 1), { security: 'mutual_tls' });
    t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');
  },
);

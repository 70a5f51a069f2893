/** Identities over time: a root that is replaced under load, and an address that changes its owner. */
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { Mesh } from '../helpers/mesh.ts';
import { account, documents, namespace, nodes, pod, policy } from '../helpers/mesh-yaml.ts';
import { needsRoot } from '../helpers/netns.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';
import { eventually } from '../helpers/program.ts';

interface Certificate {
  readonly identity: string;
  readonly state: string;
  readonly authority: string;
}

const base = documents(
  nodes(2),
  namespace('shop'),
  account('web'),
  account('cart'),
  account('other'),
  pod('web', { node: 1, account: 'web' }),
);
const cart = pod('cart', { node: 2, account: 'cart', labels: { 'test/host': '77' } });
const other = pod('other', { node: 2, account: 'other', labels: { 'test/host': '77' } });

test(
  'the root is replaced under load without a failed connection',
  { skip: needsRoot },
  async (t) => {
    const mesh = await Mesh.start(t, 'meshid', {
      yaml: documents(base, cart),
      controllerFlags: ['--rotation-settle', '500ms'],
    });
    const [web, target] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
    await greeter(t, target.fd, 8080);
    const certificates = async (): Promise<Certificate[]> =>
      (
        await Promise.all(
          [1, 2].map(async (n) => mesh.agent(n).ask<Certificate[]>('/certificates')),
        )
      ).flat();
    const before = await certificates();
    t.match(before, [{ state: 'valid' }, { state: 'valid' }]);
    const load = { made: 0, failures: new Array<unknown>(), isOver: false };
    const client = (async () => {
      while (!load.isOver) {
        try {
          await greet(web.fd, target.address4 ?? '', 8080);
          load.made += 1;
        } catch (error) {
          load.failures.push(error);
        }
        await delay(2);
      }
    })();
    await mesh.controller.ask('/v1/ca/rotate', 'POST');
    await eventually(
      'every certificate is under the new root, and the old root is gone',
      async () => {
        const now = await certificates();
        const { roots } = await mesh.controller.ask<{ roots: unknown[] }>('/v1/ca');
        if (
          now.some(({ authority }) => before.some((one) => one.authority === authority)) ||
          roots.length !== 1
        ) {
          throw new Error(JSON.stringify({ now, roots }));
        }
      },
    );
    await delay(300);
    load.isOver = true;
    await client;
    t.ok(load.made > 50, `${load.made} connections`);
    t.strictSame(load.failures, []);
  },
);

test(
  'an address that gets another owner is never served as the old one',
  { skip: needsRoot },
  async (t) => {
    const allowCart = policy('only-cart', {
      selector: { matchLabels: { app: 'web' } },
      action: 'ALLOW',
      rules: [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/cart'] } }] }],
    });
    const mesh = await Mesh.start(t, 'meshid', { yaml: documents(base, allowCart, cart) });
    const web = mesh.pod('shop/web');
    await greeter(t, web.fd, 7070);
    const first = mesh.pod('shop/cart');
    const address = first.address4 ?? '';
    await greeter(t, first.fd, 8080);
    t.equal(await greet(web.fd, address, 8080), web.address4);
    t.equal(await greet(first.fd, web.address4 ?? '', 7070), address, 'cart may call web');
    const start = performance.now();
    await mesh.write(documents(base, allowCart, other));
    const second = mesh.pod('shop/other');
    t.equal(second.address4, address, 'the new pod has the address of the old one');
    await greeter(t, second.fd, 8080);
    t.equal(
      await eventually('the new pod is reached', async () => greet(web.fd, address, 8080)),
      web.address4,
    );
    t.comment(`reached ${Math.round(performance.now() - start)} ms after the change was written`);
    const line = await mesh.access(1, {
      direction: 'outbound',
      'dst.workload': 'other',
      security: 'mutual_tls',
    });
    t.match(line, { 'dst.identity': 'spiffe://cluster.local/ns/shop/sa/other' });
    await mesh.proven();
    await t.rejects(
      greet(second.fd, web.address4 ?? '', 7070),
      'the new owner of the address may not call web',
    );
    t.match(await mesh.access(1, { direction: 'inbound', code: 'POLICY_DENIED' }), {
      'src.identity': 'spiffe://cluster.local/ns/shop/sa/other',
    });
  },
);

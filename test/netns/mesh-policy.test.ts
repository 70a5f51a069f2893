/** The whole mesh judges: who may talk to whom, what is said of it, and what a change does. */
import { test } from 'tap';
import { Mesh } from '../helpers/mesh.ts';
import {
  account,
  documents,
  namespace,
  nodes,
  peerAuthentication,
  pod,
  policy,
} from '../helpers/mesh-yaml.ts';
import { needsRoot } from '../helpers/netns.ts';
import { greet, greeter, PodClient } from '../helpers/pod-apps.ts';

const base = documents(
  nodes(2),
  namespace('shop'),
  namespace('outside', {}),
  account('web'),
  account('cart'),
  pod('web', { node: 1, account: 'web' }),
  pod('cart', { node: 2, account: 'cart' }),
  pod('stranger', { node: 1 }, 'outside'),
);

const toCart = { selector: { matchLabels: { app: 'cart' } } };

test(
  'STRICT refuses who has no identity, PERMISSIVE admits them',
  { skip: needsRoot },
  async (t) => {
    const mesh = await Mesh.start(t, 'meshpol', { yaml: base });
    const [web, cart, stranger] = [
      mesh.pod('shop/web'),
      mesh.pod('shop/cart'),
      mesh.pod('outside/stranger'),
    ];
    await greeter(t, cart.fd, 8080);
    for (const [from, to] of [
      [stranger.address4, cart.address4],
      [stranger.address6, cart.address6],
    ]) {
      t.equal(await greet(stranger.fd, to ?? '', 8080), from, 'an unmeshed client is admitted');
    }
    t.ok(mesh.wire.report().inClear > 0, 'the wire watch sees what is in clear');
    await mesh.write(documents(base, peerAuthentication('strict', { mtls: { mode: 'STRICT' } })));
    await mesh.proven();
    await t.rejects(greet(stranger.fd, cart.address4 ?? '', 8080));
    await t.rejects(greet(stranger.fd, cart.address6 ?? '', 8080));
    const line = await mesh.access(2, {
      direction: 'inbound',
      flags: 'DENY',
      code: 'POLICY_DENIED',
    });
    t.match(line, { policy: /peer-authentication\/shop\/strict/ });
    t.equal(await greet(web.fd, cart.address4 ?? '', 8080), web.address4, 'a meshed client passes');
  },
);

test(
  'a DENY names its policy and rule, and closes what it newly forbids',
  { skip: needsRoot },
  async (t) => {
    const mesh = await Mesh.start(t, 'meshpol', { yaml: base });
    const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
    await greeter(t, cart.fd, 8080);
    await greeter(t, cart.fd, 9090);
    const forbidden = new PodClient(web.fd, cart.address4 ?? '', 8080);
    const allowed = new PodClient(web.fd, cart.address4 ?? '', 9090);
    t.equal(await forbidden.line(), web.address4);
    t.equal(await allowed.line(), web.address4);
    const deny = policy('no-web', {
      ...toCart,
      action: 'DENY',
      rules: [
        {
          from: [{ source: { principals: ['cluster.local/ns/shop/sa/web'] } }],
          to: [{ operation: { ports: ['8080'] } }],
        },
      ],
    });
    await mesh.write(documents(base, deny));
    const line = await mesh.access(2, { direction: 'inbound', code: 'POLICY_CHANGED' });
    t.match(line, {
      policy: /no-web/,
      flags: 'DENY',
      'src.identity': 'spiffe://cluster.local/ns/shop/sa/web',
    });
    await t.rejects(forbidden.line(), 'the live connection was closed');
    t.ok(await allowed.echo('still here'), 'another of the same tunnel goes on');
    await t.rejects(greet(web.fd, cart.address4 ?? '', 8080), 'a new one is refused');
    t.match(await mesh.access(2, { direction: 'inbound', code: 'POLICY_DENIED' }), {
      policy: /no-web/,
      rule: /rules\[0\]/,
    });
    await mesh.write(base);
    allowed.end();
    t.equal(
      await retry(async () => greet(web.fd, cart.address4 ?? '', 8080)),
      web.address4,
      'and without it, admitted',
    );
  },
);

test(
  'ALLOW admits whom it names; a refusal says what was missing; dry run only tells',
  { skip: needsRoot },
  async (t) => {
    const rules = [
      {
        from: [{ source: { principals: ['cluster.local/ns/shop/sa/web'] } }],
        to: [{ operation: { ports: ['8080'] } }],
      },
    ];
    const dry = policy(
      'trial',
      { ...toCart, action: 'DENY', rules: [{}] },
      { annotations: { 'plumbline.dev/dry-run': 'true' } },
    );
    const mesh = await Mesh.start(t, 'meshpol', {
      yaml: documents(base, policy('cart', { ...toCart, action: 'ALLOW', rules }), dry),
    });
    const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
    await greeter(t, cart.fd, 8080);
    await greeter(t, cart.fd, 9090);
    t.equal(await greet(web.fd, cart.address4 ?? '', 8080), web.address4);
    t.match(await mesh.access(2, { direction: 'inbound', security: 'mutual_tls' }), {
      audit: [/would deny: .*trial/],
    });
    await t.rejects(greet(web.fd, cart.address4 ?? '', 9090));
    t.match(await mesh.access(2, { direction: 'inbound', code: 'POLICY_DENIED' }), {
      near_miss: /9090|8080/,
    });
  },
);

async function retry<T>(attempt: () => Promise<T>): Promise<T> {
  for (let left = 40; ; left -= 1) {
    try {
      return await attempt();
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

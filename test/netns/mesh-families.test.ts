/** Pods of one family, of both, and of one node: the same path, identity and policy for all. */
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
  service,
} from '../helpers/mesh-yaml.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';

const web = 'spiffe://cluster.local/ns/shop/sa/web';
const only = (family: '4' | '6') => ({ labels: { 'test/families': family } });

test('pods with one address family are captured, proven and served', { skip }, async (t) => {
  const yaml = documents(
    nodes(2),
    namespace('shop'),
    account('web'),
    pod('web', { node: 1, account: 'web' }),
    pod('web4', { node: 1, account: 'web', ...only('4') }),
    pod('web6', { node: 1, account: 'web', ...only('6') }),
    pod('cart4', { node: 2, ...only('4') }),
    pod('cart6', { node: 2, ...only('6') }),
    service('four', 'cart4', 80, {
      clusterIPs: ['10.32.0.4', 'fd00:32::4'],
      ports: [{ port: 80, targetPort: 8080 }],
    }),
    service('six', 'cart6', 80, {
      clusterIPs: ['10.32.0.6', 'fd00:32::6'],
      ports: [{ port: 80, targetPort: 8080 }],
    }),
    peerAuthentication('strict', { mtls: { mode: 'STRICT' } }),
  );
  const mesh = await Mesh.start(t, 'meshfam', { yaml });
  const [both, web4, web6, cart4, cart6] = ['web', 'web4', 'web6', 'cart4', 'cart6'].map((name) =>
    mesh.pod(`shop/${name}`),
  );
  if (!both || !web4 || !web6 || !cart4 || !cart6) throw new RangeError('five pods');
  for (const one of [cart4, cart6]) await greeter(t, one.fd, 8080);
  t.equal(await greet(web4.fd, cart4.address4 ?? '', 8080), web4.address4);
  t.equal(await greet(web6.fd, cart6.address6 ?? '', 8080), web6.address6);
  t.equal(await greet(web4.fd, '10.32.0.4', 80), web4.address4);
  t.equal(await greet(web6.fd, 'fd00:32::6', 80), web6.address6);
  // Whoever has both reaches either, by either address of a service.
  for (const vip of ['10.32.0.4', 'fd00:32::4']) {
    t.equal(await greet(both.fd, vip, 80), both.address4);
  }
  for (const vip of ['10.32.0.6', 'fd00:32::6']) {
    t.equal(await greet(both.fd, vip, 80), both.address6);
  }
  // Who has no way to the other family is told so at once.
  await t.rejects(greet(web4.fd, '10.32.0.6', 80));
  t.match(await mesh.access(1, { code: 'CONNECT_FAILED' }), { 'src.workload': 'web4' });
  const rows = [...(await mesh.proof(1)), ...(await mesh.proof(2))];
  t.equal(rows.filter(({ capture }) => capture?.proven === true).length, 5);
  t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');
});

test('pods of one node meet as those of two do, with identity and policy', { skip }, async (t) => {
  const deny = policy('no-web', {
    selector: { matchLabels: { app: 'cart' } },
    action: 'DENY',
    rules: [
      {
        from: [{ source: { principals: ['cluster.local/ns/shop/sa/web'] } }],
        to: [{ operation: { ports: ['9090'] } }],
      },
    ],
  });
  const yaml = documents(
    nodes(1),
    namespace('shop'),
    namespace('outside', {}),
    account('web'),
    account('cart'),
    pod('web', { node: 1, account: 'web' }),
    pod('cart', { node: 1, account: 'cart' }),
    pod('stranger', { node: 1 }, 'outside'),
    service('web', 'web', 80, { ports: [{ port: 80, targetPort: 7070 }], clusterIP: '10.32.0.7' }),
    peerAuthentication('strict', { mtls: { mode: 'STRICT' } }),
    deny,
  );
  const mesh = await Mesh.start(t, 'meshfam', { yaml, nodes: 1 });
  const [client, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
  const stranger = mesh.pod('outside/stranger');
  for (const port of [8080, 9090]) await greeter(t, cart.fd, port);
  await greeter(t, client.fd, 7070);
  for (const [i, address] of cart.addresses.entries()) {
    t.equal(await greet(client.fd, address, 8080), client.addresses[i]);
    t.match(await mesh.access(1, { direction: 'inbound', security: 'mutual_tls' }, i), {
      'src.identity': web,
      'src.workload': 'web',
      'dst.identity': 'spiffe://cluster.local/ns/shop/sa/cart',
    });
    await t.rejects(greet(client.fd, address, 9090), 'a policy holds here too');
    await t.rejects(greet(stranger.fd, address, 8080), 'and so does STRICT');
  }
  t.match(await mesh.access(1, { direction: 'inbound', policy: 'authorization/shop/no-web' }), {
    'src.identity': web,
    'dst.addr': `${cart.address4}:9090`,
  });
  t.equal(await greet(client.fd, '10.32.0.7', 80), client.address4, 'a pod by its own service');
});

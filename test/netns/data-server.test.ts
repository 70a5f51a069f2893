/** Port 15008 of a captured pod, spoken to by Node's own HTTP/2: vectors of hbone.md section 1.14. */
import { once } from 'node:events';
import { test } from 'tap';
import {
  closed,
  connectTo,
  introduce,
  leafOf,
  openSession,
  openTls,
  request,
} from '../helpers/data-peer.ts';
import { readAll, serve } from '../helpers/data-sockets.ts';
import { authority, World } from '../helpers/data-world.ts';
import { policy, ruleOf, service, backs } from '../helpers/mesh-build.ts';
import { needsRoot } from '../helpers/netns.ts';
import { makeAuthority, makeLeaf } from '../helpers/pki.ts';
import { greeter } from '../helpers/pod-apps.ts';

const CALLER = 'spiffe://cluster.local/ns/shop/sa/caller';

async function setUp(t: { after(undo: () => void | Promise<void>): void }) {
  const world = new World(t);
  const shop = service('cart', { addresses: ['10.32.0.7'] });
  const named = service('named', {
    ports: [{ name: 'web', port: 80, targetPort: 0, appProtocol: '' }],
  });
  world.services = [shop, named];
  const memberships = [
    ...backs(shop).memberships,
    { service: named.key, ports: [{ servicePort: 80, targetPort: 8080 }] },
  ];
  const peer = await world.pod('caller', { node: 1, isPlain: true });
  const cart = await world.pod('cart', { node: 2, over: { memberships } });
  const at = { netns: peer.fd, address: cart.address4 ?? '', leaf: leafOf(CALLER) };
  return { world, peer, cart, at, to: (port: number) => `${cart.address4}:${port}` };
}

test(
  'a CONNECT to the pod reaches the application from the peer (V1, V22, V23)',
  { skip: needsRoot },
  async (t) => {
    const { world, peer, cart, at, to } = await setUp(t);
    await greeter(t, cart.fd, 8080);
    const session = await openSession(t, at);
    const { status, stream, headers } = await connectTo(session, to(8080));
    t.equal(status, 200);
    t.match(headers, { baggage: /k8s\.deployment\.name=cart/ });
    stream.write('hello\n');
    const [greeting] = await once(stream, 'data');
    t.match(String(greeting), new RegExp(` ${peer.address4}\n`));
    stream.end();
    await once(stream.resume(), 'end');
    t.match(await world.record(2), {
      source: { address: peer.address4, identity: CALLER },
      hboneAddress: to(8080),
      flag: '-',
    });

    const six = await openSession(t, { ...at, address: cart.address6 ?? '' });
    const answer = await connectTo(six, `[${cart.address6}]:8080`);
    t.equal(answer.status, 200);
    const [line] = await once(answer.stream, 'data');
    t.match(String(line), new RegExp(` ${peer.address6}\n`));
  },
);

test(
  'what is no CONNECT to this pod gets the code that says why (V2 to V9)',
  { skip: needsRoot },
  async (t) => {
    const { world, cart, at, to } = await setUp(t);
    await greeter(t, cart.fd, 8080);
    const session = await openSession(t, at);
    const cases: readonly [string, Record<string, string>, number, string][] = [
      [
        'V2',
        { ':method': 'GET', ':path': '/', ':scheme': 'https', ':authority': to(8080) },
        400,
        'HBONE_PROTOCOL_ERROR',
      ],
      [
        'V3 no port',
        { ':method': 'CONNECT', ':authority': cart.address4 ?? '' },
        400,
        'HBONE_PROTOCOL_ERROR',
      ],
      [
        'V4',
        { ':method': 'CONNECT', ':authority': '10.66.0.99:8080' },
        400,
        'DESTINATION_MISMATCH',
      ],
      ['V5', { ':method': 'CONNECT', ':authority': '127.0.0.1:8080' }, 400, 'DESTINATION_MISMATCH'],
      ['V6 15001', { ':method': 'CONNECT', ':authority': to(15001) }, 503, 'LOOP_REFUSED'],
      ['V6 15006', { ':method': 'CONNECT', ':authority': to(15006) }, 503, 'LOOP_REFUSED'],
      ['V6 15008', { ':method': 'CONNECT', ':authority': to(15008) }, 503, 'LOOP_REFUSED'],
      [
        'V8 unknown',
        { ':method': 'CONNECT', ':authority': 'nobody.shop.svc.cluster.local:80' },
        503,
        'NO_HEALTHY_ENDPOINT',
      ],
      [
        'V8 port',
        { ':method': 'CONNECT', ':authority': 'cart.shop.svc.cluster.local:81' },
        503,
        'NO_HEALTHY_ENDPOINT',
      ],
      ['V9', { ':method': 'CONNECT', ':authority': to(8081) }, 503, 'CONNECT_FAILED'],
    ];
    for (const [name, headers, status, code] of cases) {
      const answer = await request(session, headers);
      t.equal(answer.status, status, name);
      t.match(await world.record(2), { error: { code } }, name);
    }
    for (const host of ['cart', 'named']) {
      const answer = await connectTo(session, `${host}.shop.svc.cluster.local:80`);
      t.equal(answer.status, 200, `V7 ${host}`);
    }
  },
);

test('policy refuses with 401 and names itself (V10)', { skip: needsRoot }, async (t) => {
  const { world, cart, at, to } = await setUp(t);
  await greeter(t, cart.fd, 8080);
  world.policies = [policy('only-web', ruleOf({ principals: ['cluster.local/ns/shop/sa/web'] }))];
  world.publish();
  await world.until(() => world.plane(2).totals().version === world.version);
  const session = await openSession(t, at);
  t.equal((await connectTo(session, to(8080))).status, 401);
  t.match(await world.record(2), {
    flag: 'DENY',
    ending: 'refused',
    policy: 'authorization/shop/only-web',
    nearMiss: /./,
    error: { code: 'POLICY_DENIED' },
  });
});

test(
  'a policy that comes closes what it forbids and nothing else (V21)',
  { skip: needsRoot },
  async (t) => {
    const { world, cart, at, to } = await setUp(t);
    await serve(t, { netns: cart.fd, port: 8080 }, (client) => client.pipe(client));
    await serve(t, { netns: cart.fd, port: 8081 }, (client) => client.pipe(client));
    const session = await openSession(t, at);
    const doomed = await connectTo(session, to(8080));
    const spared = await connectTo(session, to(8081));
    const end = closed(doomed.stream);
    world.policies = [
      policy('not-here', {
        action: 'deny',
        ...ruleOf({ destinationPorts: [{ from: 8080, to: 8080 }] }),
      }),
    ];
    world.publish();
    await end;
    t.match(await world.record(2), {
      flag: 'DENY',
      policy: 'authorization/shop/not-here',
      error: { code: 'POLICY_CHANGED' },
    });
    spared.stream.write('still here');
    const [echo] = await once(spared.stream, 'data');
    t.equal(String(echo), 'still here');
  },
);

test(
  'a policy newly attached to the workload closes live connections too',
  { skip: needsRoot },
  async (t) => {
    const { world, cart, at, to } = await setUp(t);
    await serve(t, { netns: cart.fd, port: 8080 }, (client) => client.pipe(client));
    const selected = policy('picked', {
      scope: 'selector',
      action: 'deny',
      ...ruleOf({ sourceIps: ['0.0.0.0/0'] }),
    });
    world.policies = [selected];
    world.publish();
    await world.until(() => world.plane(2).totals().version === world.version);
    const { stream } = await connectTo(await openSession(t, at), to(8080));
    const end = closed(stream);
    const index = world.pods.findIndex(({ name }) => name === cart.name);
    world.pods[index] = { ...cart, workload: { ...cart.workload, policies: [selected.key] } };
    world.publish();
    await end;
    t.match(await world.record(2), { error: { code: 'POLICY_CHANGED' } });
  },
);

test(
  'peers without a certificate of this mesh are refused in the handshake (V11, V12)',
  { skip: needsRoot },
  async (t) => {
    const { world, at } = await setUp(t);
    const stranger = makeAuthority('stranger');
    t.equal(await introduce(t, at), 'accepted', 'a good one, or the rest would prove nothing');
    const refused: readonly [string, ReturnType<typeof makeLeaf> | undefined][] = [
      ['none', undefined],
      ['another root', makeLeaf(stranger, { uris: [CALLER] })],
      ['expired', makeLeaf(authority, { uris: [CALLER], from: -7200, until: -3600 })],
      ['an authority as leaf', makeLeaf(authority, { uris: [CALLER], authority: true })],
      ['server only', makeLeaf(authority, { uris: [CALLER], usages: ['serverAuth'] })],
      ['another trust domain', leafOf('spiffe://elsewhere/ns/shop/sa/caller')],
      ['two identities', makeLeaf(authority, { uris: [CALLER, `${CALLER}-too`] })],
    ];
    for (const [name, leaf] of refused) {
      t.equal(await introduce(t, { ...at, leaf }), 'refused', name);
      t.match(await world.record(2), { flag: 'TLS_FAILURE', direction: 'inbound' }, name);
    }
  },
);

test(
  'a silent client is dropped and a stream that is cancelled ends well (V17)',
  { skip: needsRoot },
  async (t) => {
    const { world, cart, at, to } = await setUp(t);
    const atServer = Promise.withResolvers<string>();
    await serve(t, { netns: cart.fd, port: 8080 }, (client) => {
      readAll(client).then((bytes) => atServer.resolve(bytes.toString()), atServer.reject);
    });
    const session = await openSession(t, at);
    const { stream } = await connectTo(session, to(8080));
    stream.write('half a');
    await world.until(() =>
      world
        .plane(2)
        .flows()
        .some(({ requestBytes }) => requestBytes === 6),
    );
    stream.close(8);
    t.equal(await atServer.promise, 'half a', 'and then a FIN');
    t.match(await world.record(2), { ending: 'closed', flag: '-' });
  },
);

test(
  'a tunnel on a loopback address is no way to the application',
  { skip: needsRoot },
  async (t) => {
    const { world, cart, at } = await setUp(t);
    await greeter(t, cart.fd, 8080);
    const tls = await openTls(t, { ...at, netns: cart.fd, address: '127.0.0.1' }).catch(
      () => undefined,
    );
    t.ok(tls, 'the handshake itself is fine');
    tls?.destroy();
    const session = await openSession(t, { ...at, netns: cart.fd, address: '127.0.0.1' });
    t.equal((await connectTo(session, '127.0.0.1:8080')).status, 400);
    t.match(await world.record(2, ({ hboneAddress }) => hboneAddress !== ''), {
      error: { code: 'DESTINATION_MISMATCH' },
    });
  },
);

/** What the agent says beforehand, afterwards and meanwhile: explanations, metrics, and what happened. */
import { test } from 'tap';
import type { Explanation } from '#common/decide/explain.ts';
import { Mesh } from '../helpers/mesh.ts';
import {
  account,
  documents,
  namespace,
  nodes,
  object,
  peerAuthentication,
  pod,
  policy,
  service,
} from '../helpers/mesh-yaml.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';
import { getText, parseSeries, type Series, sumOf } from '../helpers/pod-http.ts';
import { eventually } from '../helpers/program.ts';

const toCart = { selector: { matchLabels: { app: 'cart' } } };
const identity = (name: string): string => `spiffe://cluster.local/ns/shop/sa/${name}`;
const from = (name: string) => [{ source: { principals: [`cluster.local/ns/shop/sa/${name}`] } }];

const base = documents(
  nodes(2),
  namespace('shop'),
  namespace('outside', {}),
  account('web'),
  account('cart'),
  account('other'),
  pod('web', { node: 1, account: 'web' }),
  pod('other', { node: 1, account: 'other' }),
  pod('cart', { node: 2, account: 'cart' }),
  pod('stranger', { node: 2 }, 'outside'),
  service('cart', 'cart', 80, {
    clusterIP: '10.32.0.10',
    ports: [{ name: 'main', port: 80, targetPort: 8080 }],
  }),
  service('nobody', 'nobody', 80, { clusterIP: '10.32.0.11' }),
);

async function scrape(mesh: Mesh, node: number): Promise<Series[]> {
  const at = { address: '127.0.0.1', port: 15_020 };
  return parseSeries(await getText(mesh.net.node(node).fd, at, '/metrics'));
}

test('what /explain and /inbound-explain say is what happens', { skip }, async (t) => {
  const yaml = documents(
    base,
    peerAuthentication('strict', {
      ...toCart,
      mtls: { mode: 'STRICT' },
      portLevelMtls: { 9090: { mode: 'PERMISSIVE' } },
    }),
    policy('no-other', { ...toCart, action: 'DENY', rules: [{ from: from('other') }] }),
  );
  const mesh = await Mesh.start(t, 'meshevi', { yaml });
  const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
  const stranger = mesh.pod('outside/stranger');
  for (const port of [8080, 9090]) await greeter(t, cart.fd, port);
  await greeter(t, stranger.fd, 8080);
  await greeter(t, mesh.net.node(2).fd, 8080);

  const outbound: readonly [string, string, number, string][] = [
    ['cart.shop:80', '10.32.0.10', 80, 'tunnel'],
    [`${cart.address4}:8080`, cart.address4 ?? '', 8080, 'tunnel'],
    [`[${cart.address6}]:8080`, cart.address6 ?? '', 8080, 'tunnel'],
    [`${stranger.address4}:8080`, stranger.address4 ?? '', 8080, 'plain'],
    [`${mesh.net.node(2).address4}:8080`, mesh.net.node(2).address4, 8080, 'direct'],
    ['cart:81', '10.32.0.10', 81, 'refuse'],
    ['nobody:80', '10.32.0.11', 80, 'refuse'],
    [`${web.address4}:15001`, web.address4 ?? '', 15_001, 'refuse'],
  ];
  for (const [to, address, port, outcome] of outbound) {
    const path = `/explain?pod=shop/web&to=${encodeURIComponent(to)}`;
    const told = await mesh.agent(1).ask<Explanation>(path);
    t.equal(told.outcome, outcome, `${to}: ${told.steps.at(-1)?.reason}`);
    const seen = mesh.agent(1).access({ direction: 'outbound' }).length;
    const isServed = await greet(web.fd, address, port).then(
      () => true,
      () => false,
    );
    t.equal(isServed, outcome !== 'refuse', `${to} is ${isServed ? '' : 'not '}served`);
    const line = await mesh.access(1, { direction: 'outbound' }, seen);
    t.equal(line['security'], outcome === 'tunnel' ? 'mutual_tls' : 'unknown');
    if (told.target !== undefined) t.equal(line['dst.workload'], told.target.workload.name);
  }

  const other = mesh.pod('shop/other');
  for (const [name, caller, who] of [
    ['web', web, identity('web')],
    ['other', other, identity('other')],
    ['stranger', stranger, 'none'],
  ] as const) {
    for (const port of [8080, 9090]) {
      const path = `/inbound-explain?pod=shop/cart&from=${who}&source=${caller.address4}&port=${port}`;
      const told = await mesh.agent(2).ask<{ outcome: string; steps: { reason: string }[] }>(path);
      const seen = await greet(caller.fd, cart.address4 ?? '', port).catch(() => 'refused');
      const happened = seen === caller.address4 ? 'allow' : 'refuse';
      t.equal(happened, told.outcome, `${name} to ${port}: ${told.steps.at(-1)?.reason}`);
    }
  }
});

test(
  'the metrics of both nodes tell who spoke to whom, and what was refused',
  { skip },
  async (t) => {
    const yaml = documents(
      base,
      policy('no-other', { ...toCart, action: 'DENY', rules: [{ from: from('other') }] }),
    );
    const mesh = await Mesh.start(t, 'meshevi', { yaml });
    const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
    await greeter(t, cart.fd, 8080);
    for (let i = 0; i < 5; i += 1) await greet(web.fd, '10.32.0.10', 80);
    await t.rejects(greet(mesh.pod('shop/other').fd, '10.32.0.10', 80));
    await mesh.access(2, { direction: 'inbound', code: 'POLICY_DENIED' });
    await mesh.access(2, { direction: 'inbound', 'src.workload': 'web' }, 4);
    const labels = {
      source_workload: 'web',
      source_workload_namespace: 'shop',
      source_principal: identity('web'),
      destination_workload: 'cart',
      destination_principal: identity('cart'),
      destination_service: 'cart.shop.svc.cluster.local',
      destination_service_name: 'cart',
      destination_service_namespace: 'shop',
      request_protocol: 'tcp',
      connection_security_policy: 'mutual_tls',
    };
    for (const [node, reporter] of [
      [1, 'source'],
      [2, 'destination'],
    ] as const) {
      const all = await scrape(mesh, node);
      const of = { ...labels, reporter };
      t.equal(sumOf(all, 'istio_tcp_connections_opened_total', of), 5, reporter);
      t.equal(sumOf(all, 'istio_tcp_connections_closed_total', { ...of, response_flags: '-' }), 5);
      t.ok(sumOf(all, 'istio_tcp_sent_bytes_total', of) > 5 * 20, 'the greetings');
      const failed = all.filter(({ name }) => name === 'istio_tcp_connections_failed_total');
      t.match(failed, [
        {
          value: 1,
          labels: { source_workload: 'other', response_flags: node === 1 ? 'CONNECT' : 'DENY' },
        },
      ]);
      t.equal(sumOf(all, 'plumb_pods_unproven'), 0);
      t.equal(sumOf(all, 'plumb_pods_labelled'), node === 1 ? 2 : 1);
      t.equal(sumOf(all, 'plumb_pods_proven'), node === 1 ? 2 : 1);
    }
    const refused = { policy: 'authorization/shop/no-other', verdict: 'denied' };
    const judged = await scrape(mesh, 2);
    t.equal(sumOf(judged, 'plumbline_policy_verdicts_total', refused), 1);
    t.equal(sumOf(judged, 'plumbline_policy_denied_total'), 1);
    t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');
  },
);

test('a NetworkPolicy holds behind the tunnel, and its change at once', { skip }, async (t) => {
  const ingress = (ports: readonly number[]): string =>
    object(
      'networking.k8s.io/v1',
      'NetworkPolicy',
      { name: 'cart', namespace: 'shop' },
      {
        spec: {
          podSelector: { matchLabels: { app: 'cart' } },
          ingress: [
            {
              from: [{ podSelector: { matchLabels: { app: 'web' } } }],
              ports: ports.map((port) => ({ protocol: 'TCP', port })),
            },
          ],
        },
      },
    );
  const mesh = await Mesh.start(t, 'meshevi', { yaml: documents(base, ingress([8080])) });
  const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
  for (const port of [8080, 9090]) await greeter(t, cart.fd, port);
  for (const [i, address] of cart.addresses.entries()) {
    t.equal(await greet(web.fd, address, 8080), web.addresses[i]);
    await t.rejects(greet(web.fd, address, 9090), 'another port');
    await t.rejects(greet(mesh.pod('shop/other').fd, address, 8080), 'another pod');
  }
  t.match(await mesh.access(2, { direction: 'inbound', code: 'POLICY_DENIED' }), {
    policy: /network-policy/,
    'dst.addr': /:9090$/,
  });
  await mesh.write(documents(base, ingress([9090])));
  await eventually('the change is in force', async () => greet(web.fd, cart.address4 ?? '', 9090));
  await t.rejects(greet(web.fd, cart.address4 ?? '', 8080));
  t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');
});

test(
  'profiles of the main thread and of a data worker can be had, a snapshot cannot',
  { skip },
  async (t) => {
    const mesh = await Mesh.start(t, 'meshevi', { yaml: base });
    const [web, cart] = [mesh.pod('shop/web'), mesh.pod('shop/cart')];
    await greeter(t, cart.fd, 8080);
    interface CpuProfile {
      readonly nodes: readonly { readonly callFrame: { readonly url: string } }[];
    }
    const asked = Promise.all([
      mesh.agent(1).ask<CpuProfile>('/debug/cpu-profile?seconds=1'),
      mesh.agent(1).ask<CpuProfile>('/debug/cpu-profile?seconds=1&worker=0'),
      mesh.agent(1).ask<{ readonly samples: unknown[] }>('/debug/heap-profile?seconds=1&worker=0'),
    ]);
    const load = { isOver: false };
    const calls = (async () => {
      while (!load.isOver) await greet(web.fd, cart.address4 ?? '', 8080);
    })();
    const [main, worker, heap] = await asked;
    load.isOver = true;
    await calls;
    const files = ({ nodes: all }: CpuProfile) =>
      all.map(({ callFrame }) => callFrame.url).join(' ');
    t.match(files(worker), /node-agent\/data\/outbound\.ts/, 'what a worker does');
    t.notMatch(files(main), /node-agent\/data\/outbound\.ts/, 'is not what main does');
    t.ok(Array.isArray(heap.samples));
    await t.rejects(mesh.agent(1).ask('/debug/cpu-profile?seconds=1&worker=7'), { message: /404/ });
    await t.rejects(mesh.agent(1).ask('/debug/heap-snapshot'), { message: /404/ });
  },
);

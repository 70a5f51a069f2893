/** Claims about ordinary traffic: captured, identified, unreadable, whoever speaks first. */
import { at, listAt } from '../../text.ts';
import type { Claim } from './claim.ts';
import { insist, SHOP } from './claim.ts';
import type { Sample } from './metrics-text.ts';

const PROOF_MS = 15_000;
const TRAFFIC_MS = 15_000;

export const captured: Claim = {
  title: 'every pod of the mesh is proven captured, both directions, both families',
  show: async ({ guide }) => {
    const labelled = guide.mesh.pods.filter(({ desired }) => desired.namespace === 'shop').length;
    const rows = await guide.until(async () => {
      const all = await Promise.all(guide.mesh.nodes.map(async (node) => guide.proof(node)));
      const joined = all.flat().filter((row) => at(row, 'enrolled') === 'true');
      const proven = joined.filter((row) => at(row, 'capture.proven') === 'true');
      return proven.length === labelled && joined.length === labelled ? proven : undefined;
    }, PROOF_MS);
    insist(rows !== undefined, `not all of ${labelled} pods are proven; see plumb status`);
    return rows.map((row) => {
      const results = listAt(row, 'capture.results')
        .filter((result) => at(result, 'outcome') === 'captured')
        .map((result) => `${at(result, 'direction')} v${at(result, 'family')}`);
      const pod = `${at(row, 'namespace')}/${at(row, 'name')}`;
      insist(results.length > 0, `the agent shows no probe of ${pod}`);
      return `${pod.padEnd(18)} ${results.toSorted().join(', ')}`;
    });
  },
};

/** Who calls whom in a checkout. */
const EDGES = [
  ['customer', 'web'],
  ['web', 'catalog'],
  ['web', 'cart'],
  ['web', 'stock'],
  ['web', 'payments'],
  ['payments', 'ledger'],
] as const;

export const identities: Claim = {
  title: 'every call has two proven identities, and the server sees the caller’s own address',
  show: async ({ guide }) => {
    const seen = await guide.until(async () => {
      const samples = await guide.metrics();
      const edges = EDGES.map(([from, to]) => edgeBetween(samples, from, to));
      return edges.every((edge) => edge !== undefined) ? edges : undefined;
    }, TRAFFIC_MS);
    insist(seen !== undefined, 'the agents did not count mutual TLS on every way of a checkout');
    const lines = seen.map((sample) => {
      const { source_principal: from = '', destination_principal: to = '' } = sample.labels;
      return `${from}  →  ${to}  ${sample.value} connections, mutual TLS`;
    });
    for (const family of guide.mesh.world.families) {
      const answer = await guide.get({ from: SHOP.customer, host: 'web', port: 80, family });
      const from = at(JSON.parse(answer.body), 'from').replace('::ffff:', '');
      const own = guide.pod(SHOP.customer).runtime.addresses;
      insist(own.includes(from), `web saw ${from} instead of the customer`);
      lines.push(`web sees its caller as ${from}, which is the customer`);
    }
    return lines;
  },
};

function edgeBetween(samples: readonly Sample[], from: string, to: string): Sample | undefined {
  return samples.find(
    ({ name, labels, value }) =>
      name === 'istio_tcp_connections_opened_total' &&
      labels['reporter'] === 'destination' &&
      labels['connection_security_policy'] === 'mutual_tls' &&
      labels['source_principal']?.endsWith(`/ns/shop/sa/${from}`) === true &&
      labels['destination_principal']?.endsWith(`/ns/shop/sa/${to}`) === true &&
      value > 0,
  );
}

export const unreadable: Claim = {
  title: 'nothing of it can be read between the nodes',
  show: async ({ guide, wire }) => {
    for (let i = 0; i < 20; i += 1) {
      const answer = await guide.get({
        from: SHOP.customer,
        host: 'web',
        port: 80,
        path: '/checkout/tourist',
        marker: SHOP.secret,
      });
      insist(answer.status === 200, `a checkout failed: ${answer.body.trim()}`);
      insist(answer.body.includes(SHOP.secret), 'the answer holds no marker');
    }
    // The same wire with somebody on it who is not in the mesh: shows that the watcher can read.
    const call = { from: SHOP.visitor, host: 'web.shop', port: 80, marker: SHOP.postcard };
    await guide.get(call);
    await guide.until(() => (wire.seen(SHOP.postcard) > 0 ? true : undefined), 2000);
    insist(wire.seen(SHOP.postcard) > 0, 'the watcher did not even see what is sent in clear');
    return wireLines(wire);
  },
};

/** Throws when a secret was seen, or frames were missed; also asked at the end of the tour. */
export function wireLines(wire: Parameters<Claim['show']>[0]['wire']): readonly string[] {
  wire.look();
  insist(wire.dropped === 0, `the watcher missed ${wire.dropped} frames`);
  insist(wire.seen(SHOP.secret) === 0, `a secret was read in ${wire.seen(SHOP.secret)} frames`);
  const megabytes = (wire.bytes / 1e6).toFixed(1);
  return [
    `${wire.frames} frames, ${megabytes} MB, seen on the switch between the nodes, none missed`,
    `"${SHOP.secret}", in every payload of the shop: in 0 frames`,
    `"${SHOP.postcard}", from the visitor outside the mesh: in ${wire.seen(SHOP.postcard)} frames`,
  ];
}

export const serverFirst: Claim = {
  title: 'a protocol in which the server speaks first works',
  show: async ({ guide }) => {
    const began = performance.now();
    const said = await guide.listen({ from: SHOP.web, host: 'stock', port: 7000 });
    const ms = Math.round(performance.now() - began);
    insist(said.startsWith('220 stock ready'), `the stock said "${said}"`);
    return [`stock said "${said}" after ${ms} ms, without having been asked`];
  },
};

/** Explanations say what the deciders say. */
import { test } from 'tap';
import { explainInbound, explainOutbound } from '#common/decide/explain.ts';
import type { Explanation } from '#common/decide/explain.ts';
import { balanceRig } from '../../helpers/mesh-balance.ts';
import {
  backs,
  balancing,
  policy,
  ruleOf,
  service,
  strict,
  viewOf,
  workload,
} from '../../helpers/mesh-build.ts';

const cart = service('cart', {
  addresses: ['10.32.0.1'],
  loadBalancing: { ...balancing, mode: 'strict', scopes: ['node'] },
});
const client = workload('client', { addresses: ['10.64.9.9'] });
const pod = workload('cart-0', { addresses: ['10.64.0.1'], ...backs(cart) });
const view = viewOf({
  services: [cart, service('empty', { addresses: ['10.32.0.2'] })],
  workloads: [
    client,
    pod,
    workload('cart-1', { addresses: ['10.64.0.2'], node: 'node-2', ...backs(cart) }),
    workload('cart-2', { addresses: ['10.64.0.3'], health: 'not-ready', ...backs(cart) }),
  ],
  policies: [
    strict(),
    policy('web-only', ruleOf({ serviceAccounts: ['shop/web'] })),
    policy('try', { dryRun: true, action: 'deny' }),
  ],
});

function outbound(address: string, port: number): Explanation {
  return explainOutbound(view, balanceRig().state, {
    source: client,
    destination: { address, port },
  });
}

test('explainOutbound() tells the way to an endpoint, and why not the others', async (t) => {
  const { outcome, steps, target } = outbound('10.32.0.1', 80);
  t.equal(outcome, 'tunnel');
  t.equal(target?.workload.name, 'cart-0');
  const told = steps.map(({ step, reason }) => `${step}: ${reason}`);
  t.strictSame(told.toSorted(), [
    'endpoints: 1 of 3 endpoints may be chosen, by random, mode strict',
    'endpoints: Kubernetes//Pod/shop/cart-0: may be chosen, matches 1 of node',
    'endpoints: Kubernetes//Pod/shop/cart-1: it is out of scope, matches 0 of node',
    'endpoints: Kubernetes//Pod/shop/cart-2: it is not ready, matches 1 of node',
    'route: 10.32.0.1:80 is cart.shop.svc.cluster.local:80',
    'source: shop/client on node node-1',
    'target: shop/cart-0 at 10.64.0.1:8080, through a tunnel to spiffe://cluster.local/ns/shop/sa/cart-0',
  ]);
});

test('explainOutbound() tells that a client address keeps its endpoint', async (t) => {
  const sticky = service('sticky', {
    addresses: ['10.32.0.7'],
    loadBalancing: { ...balancing, clientIpAffinitySeconds: 60 },
  });
  const { steps } = explainOutbound(
    viewOf({ services: [sticky], workloads: [client, workload('one', backs(sticky))] }),
    balanceRig().state,
    { source: client, destination: { address: '10.32.0.7', port: 80 } },
  );
  t.match(
    steps.find(({ step }) => step === 'endpoints')?.reason,
    /random, kept for each client address for 60 s,/,
  );
});

test('explainOutbound() tells passage and refusal', async (t) => {
  t.equal(outbound('1.1.1.1', 443).outcome, 'direct');
  const refused = outbound('10.32.0.1', 81);
  t.equal(refused.outcome, 'refuse');
  t.match(refused.steps.at(-1), {
    outcome: 'refuse',
    reason: /has no port 81 \(NO_HEALTHY_ENDPOINT\)/,
  });
  t.match(outbound('10.32.0.2', 80).steps.at(-1), { step: 'target', outcome: 'refuse' });
});

test('explainInbound() tells the verdict, the near miss and the audits', async (t) => {
  const connection = {
    identity: undefined,
    sourceAddress: '10.64.9.9',
    destinationAddress: '10.64.0.1',
    destinationPort: 8080,
  };
  const { outcome, steps } = explainInbound(view, pod, connection);
  t.equal(outcome, 'refuse');
  t.strictSame(
    steps.map(({ reason }) => reason),
    [
      '10.64.9.9 comes in clear, without an identity',
      'peer-authentication/shop/strict rules[0] denies it',
      'authorization/shop/try: rules[0] matches; enforced, it would refuse',
    ],
  );
});

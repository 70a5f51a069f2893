import { test } from 'tap';
import type { Policy } from '../../../common/mesh/policy.ts';
import { Model } from '../../../controller/model/model.ts';
import type { IngressRule, LabelSelector, NetworkPeer } from '../../../controller/model/objects.ts';
import { MESHED, gone, namespace, networkPolicy, pod, set } from '../../helpers/mesh-objects.ts';

const BACK = { matchLabels: { tier: 'back' }, matchExpressions: [] };
const WHOLE: LabelSelector = { matchLabels: {}, matchExpressions: [] };
const CART = pod('cart', '10.0.0.1', { namedPorts: { web: 8080 }, meta: { labels: { app: 'a' } } });
const PAY = pod('pay', '10.0.0.2', { namedPorts: { web: 9090 }, meta: { labels: { app: 'a' } } });
const DB = pod('db', '10.0.0.3', { meta: { labels: { tier: 'back' } } });
const PLAIN = pod('plain', '10.0.1.1', { meta: { namespace: 'plain', labels: { tier: 'back' } } });

function setUp(): Model {
  const model = new Model();
  model.apply(
    set(namespace('shop', MESHED), namespace('plain', { team: 'x' }), CART, PAY, DB, PLAIN),
  );
  return model;
}

function rulesFor(model: Model, ...rules: Partial<IngressRule>[]): Policy['rules'] | undefined {
  const ingress = rules.map((rule) => ({ from: [], ports: undefined, ...rule }));
  return model.apply(set(networkPolicy('np', { app: 'a' }, ingress))).policies[0]?.rules;
}

const pods = (
  namespaces: LabelSelector | undefined,
  selected: LabelSelector | undefined,
): NetworkPeer => ({ kind: 'pods', namespaces, pods: selected });

test('NetworkPolicy peers become addresses, identities of namespaces, and blocks', async (t) => {
  const table: readonly (readonly [string, NetworkPeer, unknown])[] = [
    ['a block', { kind: 'block', cidr: '10.0.0.0/8', except: [] }, [{ sourceIps: ['10.0.0.0/8'] }]],
    [
      'a block with a hole',
      { kind: 'block', cidr: '10.0.0.0/8', except: ['10.9.0.0/16'] },
      [{ sourceIps: ['10.0.0.0/8'], notSourceIps: ['10.9.0.0/16'] }],
    ],
    ['pods here', pods(undefined, BACK), [{ sourceIps: ['10.0.0.3'] }]],
    ['pods anywhere', pods(WHOLE, BACK), [{ sourceIps: ['10.0.0.3', '10.0.1.1'] }]],
    ['all pods here', pods(undefined, WHOLE), [{ namespaces: ['shop'] }]],
    [
      'a namespace outside the mesh',
      pods({ matchLabels: { team: 'x' }, matchExpressions: [] }, undefined),
      [{ namespaces: ['plain'] }, { sourceIps: ['10.0.1.1'] }],
    ],
    [
      'a namespace by its name',
      pods(
        { matchLabels: { 'kubernetes.io/metadata.name': 'shop' }, matchExpressions: [] },
        undefined,
      ),
      [{ namespaces: ['shop'] }],
    ],
  ];
  for (const [name, peer, matches] of table) {
    t.strictSame(
      rulesFor(setUp(), { from: [peer] }),
      [{ name: 'ingress[0]', clauses: [{ matches }] }],
      name,
    );
  }
});

test('NetworkPolicy ports are ranges, and names hold for the pods that mean them', async (t) => {
  t.strictSame(
    rulesFor(setUp(), {
      ports: [
        { port: 80, endPort: 90 },
        { port: 'web', endPort: 0 },
      ],
    }),
    [
      {
        name: 'ingress[0]',
        clauses: [
          {
            matches: [
              { destinationPorts: [{ from: 80, to: 90 }] },
              { destinationPorts: [{ from: 8080, to: 8080 }], destinationIps: ['10.0.0.1'] },
              { destinationPorts: [{ from: 9090, to: 9090 }], destinationIps: ['10.0.0.2'] },
            ],
          },
        ],
      },
    ],
  );
});

test('a NetworkPolicy rule that admits nobody is no rule, one without limits admits all', async (t) => {
  const nobody = pods(undefined, { matchLabels: { tier: 'none' }, matchExpressions: [] });
  t.strictSame(rulesFor(setUp(), { from: [nobody] }), [], 'no such pod');
  t.strictSame(rulesFor(setUp(), { ports: [] }), [], 'ports of other protocols only');
  t.strictSame(rulesFor(setUp(), { ports: [{ port: 'gone', endPort: 0 }] }), [], 'no such port');
  t.strictSame(rulesFor(setUp(), {}), [{ name: 'ingress[0]', clauses: [] }], 'from anywhere');
});

test('a NetworkPolicy is listed by the pods that it selects', async (t) => {
  const model = setUp();
  const diff = model.apply(set(networkPolicy('np', { app: 'a' }, [])));
  t.strictSame(
    diff.workloads.map(({ name, policies }) => [name, ...policies]),
    [
      ['cart', 'network-policy/shop/np'],
      ['pay', 'network-policy/shop/np'],
    ],
  );
  t.match(diff.policies, [{ scope: 'selector', layer: 'network-policy', rules: [] }]);
  const whole = model.apply(set(networkPolicy('np', {}, [])));
  t.match(whole.policies, [{ scope: 'namespace' }]);
  t.ok(whole.workloads.every(({ policies }) => policies.length === 0));
});

test('a NetworkPolicy follows the pods that it admits, and not their readiness', async (t) => {
  const model = setUp();
  const ingress = [{ from: [pods(undefined, BACK)], ports: undefined }];
  model.apply(set(networkPolicy('np', { app: 'a' }, ingress)));
  t.equal(model.apply(set({ ...DB, ready: false })).rebuilt.policies, 0);
  const moved = model.apply(set({ ...DB, addresses: ['10.0.0.9'] }));
  t.match(moved.policies, [{ rules: [{ clauses: [{ matches: [{ sourceIps: ['10.0.0.9'] }] }] }] }]);
  t.match(model.apply([gone(DB)]).policies, [{ rules: [] }]);
  // A pod of the mesh that no rule holds by address changes no policy.
  t.equal(model.apply([gone(PAY)]).rebuilt.policies, 0);
});

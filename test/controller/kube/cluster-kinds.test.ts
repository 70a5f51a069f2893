import { test } from 'tap';
import { CUSTOM, readCustom, type Judged } from '../../../controller/kube/cluster-kinds.ts';
import type { MeshKind } from '../../../controller/model/objects.ts';

const serverFields = {
  uid: 'u-1',
  resourceVersion: '7',
  generation: 3,
  creationTimestamp: '2026-01-31T12:00:00Z',
  finalizers: ['example.com/hold'],
  managedFields: [{ manager: 'kubectl', operation: 'Update' }],
};

test('kinds of CRDs are read strictly, whatever the API server adds to their metadata', async (t) => {
  const read = (kind: MeshKind, spec: object, metadata: object = {}): Judged =>
    readCustom(kind, {
      apiVersion: 'security.istio.io/v1',
      kind,
      metadata: { ...serverFields, name: 'p', namespace: 'shop', ...metadata },
      spec,
      status: { conditions: [] },
    });
  const rule = { to: [{ operation: { ports: ['80'] } }] };
  t.match(read('AuthorizationPolicy', { action: 'DENY', rules: [rule] }), {
    key: 'shop/p',
    generation: 3,
    complaints: [],
    object: { action: 'DENY', rules: [{ to: [{ ports: ['80'] }] }] },
  });
  t.match(read('WorkloadEntry', { address: '192.0.2.1' }).object, {
    endpoint: { address: '192.0.2.1' },
  });

  const selector = { matchLabels: { app: 'cart' } };
  const bad = { rulez: [] };
  const everything = [{ from: undefined, to: undefined, when: undefined }];
  const table: [string, MeshKind, object, object | undefined][] = [
    [
      'a bad ALLOW allows nothing',
      'AuthorizationPolicy',
      { selector, ...bad },
      { action: 'ALLOW', rules: [], selector: { app: 'cart' } },
    ],
    [
      'a bad DENY denies all',
      'AuthorizationPolicy',
      { selector, action: 'DENY', ...bad },
      { action: 'DENY', rules: everything, selector: { app: 'cart' } },
    ],
    [
      'an action that we do not have, too',
      'AuthorizationPolicy',
      { action: 'CUSTOM', provider: {} },
      { action: 'DENY', rules: everything, selector: undefined },
    ],
    [
      'a DENY of HTTP alone',
      'AuthorizationPolicy',
      { action: 'DENY', rules: [{ to: [{ operation: { methods: ['GET'] } }] }] },
      { action: 'DENY', rules: everything },
    ],
    [
      'a selector that cannot be read selects all',
      'AuthorizationPolicy',
      { selector: { app: 'cart' }, action: 'DENY' },
      { selector: undefined, rules: everything },
    ],
    [
      'an AUDIT policy decides nothing',
      'AuthorizationPolicy',
      { action: 'AUDIT', ...bad },
      undefined,
    ],
    [
      'STRICT',
      'PeerAuthentication',
      { selector, mtls: { mode: 'SOMETIMES' } },
      { mode: 'STRICT', selector: { app: 'cart' }, portModes: {} },
    ],
    ['a ServiceEntry only adds', 'ServiceEntry', { hosts: [] }, undefined],
    ['a WorkloadEntry only adds', 'WorkloadEntry', { address: '' }, undefined],
  ];
  for (const [name, kind, spec, object] of table) {
    const judged = read(kind, spec);
    t.ok(judged.complaints.length > 0, name);
    t.equal(judged.key, 'shop/p', name);
    if (object === undefined) t.equal(judged.object, undefined, name);
    else t.match(judged.object, object, name);
  }
  t.match(read('AuthorizationPolicy', { rulez: [] }).complaints, [
    { field: 'spec.rulez', message: /unknown field "rulez".*did you mean "rules"/ },
  ]);
  const dry = read(
    'AuthorizationPolicy',
    { action: 'DENY', rulez: [] },
    { annotations: { 'plumbline.dev/dry-run': 'true' } },
  );
  t.match(dry.object, { meta: { annotations: { 'plumbline.dev/dry-run': 'true' } } });
});

test('kinds of CRDs are looked for in our group first, then in that of Istio', async (t) => {
  const found = CUSTOM.filter(({ kind }) => kind === 'PeerAuthentication');
  t.strictSame(found, [
    { kind: 'PeerAuthentication', group: 'plumbline.dev', versions: ['v1alpha1'] },
    { kind: 'PeerAuthentication', group: 'security.istio.io', versions: ['v1', 'v1beta1'] },
  ]);
});

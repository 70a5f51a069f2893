import { test } from 'tap';
import { BUILT_IN, readBuiltIn, type Judged } from '../../../controller/kube/cluster-kinds.ts';
import { Interner } from '../../../controller/kube/intern.ts';
import type { MeshKind } from '../../../controller/model/objects.ts';

function builtIn(kind: MeshKind, raw: object): Judged {
  const found = BUILT_IN.find((one) => one.kind === kind);
  if (found === undefined) throw new Error(kind);
  return readBuiltIn(found, raw);
}

const serverFields = {
  uid: 'u-1',
  resourceVersion: '7',
  generation: 3,
  creationTimestamp: '2026-01-31T12:00:00Z',
  finalizers: ['example.com/hold'],
  managedFields: [{ manager: 'kubectl', operation: 'Update' }],
};

function pod(more: { metadata?: object; spec?: object; status?: object } = {}): object {
  return {
    metadata: {
      ...serverFields,
      name: 'cart-7d9f-x2',
      namespace: 'shop',
      labels: { app: 'cart', 'pod-template-hash': '7d9f' },
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': 'x'.repeat(100_000) },
      ownerReferences: [{ kind: 'ReplicaSet', name: 'cart-7d9f', uid: 'r', controller: true }],
      ...more.metadata,
    },
    spec: {
      nodeName: 'n1',
      serviceAccountName: 'cart',
      containers: [
        { name: 'app', image: 'cart:1', ports: [{ containerPort: 8080, name: 'http' }] },
      ],
      tolerations: [{ key: 'x' }],
      ...more.spec,
    },
    status: {
      phase: 'Running',
      podIP: '10.1.0.1',
      podIPs: [{ ip: '10.1.0.1' }, { ip: 'FD00::1' }],
      conditions: [
        { type: 'Initialized', status: 'True' },
        { type: 'Ready', status: 'True' },
      ],
      ...more.status,
    },
  };
}

test('a pod is read for what the mesh needs, with both families', async (t) => {
  t.strictSame(builtIn('Pod', pod()), {
    key: 'shop/cart-7d9f-x2',
    generation: 3,
    complaints: [],
    object: {
      kind: 'Pod',
      meta: {
        name: 'cart-7d9f-x2',
        namespace: 'shop',
        labels: { app: 'cart', 'pod-template-hash': '7d9f' },
        annotations: {},
        createdMs: Date.parse('2026-01-31T12:00:00Z'),
      },
      podUid: 'u-1',
      node: 'n1',
      serviceAccount: 'cart',
      hostNetwork: false,
      addresses: ['10.1.0.1', 'fd00::1'],
      phase: 'Running',
      ready: true,
      terminating: false,
      namedPorts: { http: 8080 },
      owner: { kind: 'Deployment', name: 'cart' },
    },
  });
});

test('a pod of every kind and in every state is told apart', async (t) => {
  const owner = (kind: string, name: string, controller = true): object => ({
    metadata: { labels: {}, ownerReferences: [{ kind, name, controller }] },
  });
  const table: [string, Parameters<typeof pod>[0], object][] = [
    [
      'not scheduled',
      { spec: { nodeName: undefined }, status: { podIPs: null, podIP: '' } },
      { node: '', addresses: [] },
    ],
    [
      'no status at all',
      { status: { phase: undefined, conditions: null, podIPs: [], podIP: undefined } },
      { phase: 'Pending', ready: false, addresses: [] },
    ],
    ['podIP alone', { status: { podIPs: undefined } }, { addresses: ['10.1.0.1'] }],
    ['host network', { spec: { hostNetwork: true } }, { hostNetwork: true }],
    [
      'not ready',
      { status: { conditions: [{ type: 'Ready', status: 'False' }] } },
      { ready: false },
    ],
    [
      'terminating',
      { metadata: { deletionTimestamp: '2026-01-31T12:00:00Z' } },
      { terminating: true },
    ],
    ['succeeded', { status: { phase: 'Succeeded' } }, { phase: 'Succeeded' }],
    ['failed', { status: { phase: 'Failed' } }, { phase: 'Failed' }],
    ['on a node that is away', { status: { phase: 'Unknown' } }, { phase: 'Running' }],
    [
      'static: the uid that its kubelet uses',
      {
        metadata: {
          annotations: { 'kubernetes.io/config.mirror': 'hash' },
          ownerReferences: [{ kind: 'Node', name: 'n1', controller: true }],
        },
      },
      { podUid: 'hash', owner: undefined, meta: { annotations: {} } },
    ],
    [
      'of a StatefulSet',
      owner('StatefulSet', 'db'),
      { owner: { kind: 'StatefulSet', name: 'db' } },
    ],
    ['of a Job', owner('Job', 'import'), { owner: { kind: 'Job', name: 'import' } }],
    [
      'of a CronJob',
      owner('Job', 'backup-29348720'),
      { owner: { kind: 'CronJob', name: 'backup' } },
    ],
    [
      'of a bare ReplicaSet',
      owner('ReplicaSet', 'web'),
      { owner: { kind: 'ReplicaSet', name: 'web' } },
    ],
    ['with an owner that is no controller', owner('Thing', 'x', false), { owner: undefined }],
    [
      'with our switches',
      {
        metadata: {
          annotations: {
            'plumbline.dev/exclude-inbound-ports': '9090',
            'sidecar.istio.io/status': '{}',
          },
        },
      },
      {
        meta: {
          annotations: {
            'plumbline.dev/exclude-inbound-ports': '9090',
            'sidecar.istio.io/status': '{}',
          },
        },
      },
    ],
    [
      'ports of sidecars, TCP only',
      {
        spec: {
          containers: [],
          initContainers: [
            { name: 'once', ports: [{ name: 'once', containerPort: 1 }] },
            {
              name: 'side',
              restartPolicy: 'Always',
              ports: [
                { name: 'side', containerPort: 2 },
                { name: 'dns', containerPort: 53, protocol: 'UDP' },
              ],
            },
          ],
        },
      },
      { namedPorts: { side: 2 } },
    ],
  ];
  for (const [name, more, object] of table) {
    const read = builtIn('Pod', pod(more));
    t.strictSame(read.complaints, [], name);
    t.match(read.object, object, name);
  }
  t.strictSame(
    builtIn('Pod', pod(table.at(-1)?.[1])).object,
    { ...builtIn('Pod', pod()).object, namedPorts: { side: 2 } },
    'and nothing else of init containers',
  );
});

test('Interner shares what is equal and changes nothing', async (t) => {
  const interner = new Interner();
  const [one, two] = ['a', 'b'].map((name) => builtIn('Pod', pod({ metadata: { name } })).object);
  if (one === undefined || two === undefined) throw new Error('not read');
  const [first, second] = [interner.object(one), interner.object(two)];
  t.strictSame(first, one);
  t.strictSame(second, two);
  t.equal(first.meta.labels, second.meta.labels, 'one object');
});

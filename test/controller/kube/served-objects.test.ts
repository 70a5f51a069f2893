import { test } from 'tap';
import { BUILT_IN, readBuiltIn, type Judged } from '../../../controller/kube/cluster-kinds.ts';
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

test('a service is read with and without an address', async (t) => {
  const service = (spec: object): Judged =>
    builtIn('Service', {
      metadata: { ...serverFields, name: 'cart', namespace: 'shop' },
      spec: {
        type: 'ClusterIP',
        ports: [{ port: 80, protocol: 'TCP', targetPort: 'http', nodePort: 30_080 }],
        ...spec,
      },
      status: { loadBalancer: {} },
    });
  const table: [string, object, object][] = [
    [
      'both families',
      { clusterIP: '10.96.0.1', clusterIPs: ['10.96.0.1', 'fd00::A'] },
      { clusterIps: ['10.96.0.1', 'fd00::a'], headless: false },
    ],
    ['headless', { clusterIP: 'None', clusterIPs: ['None'] }, { clusterIps: [], headless: true }],
    ['no address yet', { clusterIP: '' }, { clusterIps: [], headless: false }],
    [
      'a load balancer',
      { type: 'LoadBalancer', clusterIP: '10.96.0.1' },
      { clusterIps: ['10.96.0.1'] },
    ],
    ['no selector', { clusterIP: '10.96.0.1' }, { selector: undefined }],
    ['a selector', { selector: { app: 'cart' } }, { selector: { app: 'cart' } }],
    [
      'UDP is left out',
      {
        ports: [
          { port: 53, protocol: 'UDP' },
          { port: 53, protocol: 'TCP', name: 'a-name-that-is-longer-than-15' },
        ],
      },
      { ports: [{ port: 53, targetPort: 53, name: 'a-name-that-is-longer-than-15' }] },
    ],
    [
      'affinity',
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } },
      { clientIpAffinitySeconds: 60 },
    ],
    [
      'local',
      { internalTrafficPolicy: 'Local', trafficDistribution: 'PreferSameZone' },
      { internalTrafficPolicy: 'Local', trafficDistribution: 'PreferSameZone' },
    ],
  ];
  for (const [name, spec, object] of table) {
    const read = service(spec);
    t.strictSame(read.complaints, [], name);
    t.match(read.object, object, name);
  }
  t.match(service({ type: 'ExternalName', externalName: 'a.example' }), {
    key: 'shop/cart',
    object: undefined,
    complaints: [],
  });
});

test('a slice is read from the cluster: pods by name, others by address', async (t) => {
  const slice = (more: object): Judged =>
    builtIn('EndpointSlice', {
      metadata: {
        ...serverFields,
        name: 'cart-x',
        namespace: 'shop',
        labels: { 'kubernetes.io/service-name': 'cart' },
      },
      addressType: 'IPv4',
      ports: [
        { name: 'http', port: 8080, protocol: 'TCP' },
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: null, port: null },
      ],
      ...more,
    });
  const read = slice({
    endpoints: [
      {
        addresses: ['10.1.0.1'],
        conditions: { ready: false },
        nodeName: 'n1',
        targetRef: { kind: 'Pod', name: 'cart-1', namespace: 'shop', uid: 'u' },
      },
      { addresses: ['192.0.2.1'], conditions: { ready: null, serving: true }, nodeName: 'n2' },
      {
        addresses: ['192.0.2.2'],
        conditions: { ready: false, terminating: true },
        targetRef: { kind: 'VirtualMachine', name: 'vm' },
      },
    ],
  });
  t.match(read.object, {
    service: 'cart',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: [
      { pod: 'cart-1', addresses: [] },
      { pod: '', addresses: ['192.0.2.1'], ready: true, terminating: false, node: 'n2' },
      { pod: '', addresses: ['192.0.2.2'], ready: false, terminating: true },
    ],
  });
  t.match(slice({ endpoints: null, ports: null }).object, { endpoints: [], ports: [] });
  t.equal(
    slice({ addressType: 'FQDN', endpoints: [{ addresses: ['a.example'] }] }).object,
    undefined,
  );
});

test('a NetworkPolicy is read for its ingress half, and isolates when that cannot be read', async (t) => {
  const policy = (spec: object): Judged =>
    builtIn('NetworkPolicy', { metadata: { ...serverFields, name: 'p', namespace: 'shop' }, spec });
  const selected = { podSelector: { matchLabels: { app: 'cart' } } };
  const egress = { egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }] };
  const table: [string, object, object][] = [
    ['egress alone', { ...selected, ...egress, policyTypes: ['Egress'] }, { ingress: undefined }],
    [
      'both',
      {
        ...selected,
        ...egress,
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ ports: [{ port: 80, protocol: 'TCP' }] }],
      },
      { ingress: [{ ports: [{ port: 80, endPort: 80 }] }] },
    ],
    [
      'all is denied',
      { podSelector: {}, policyTypes: ['Ingress'] },
      { podSelector: { matchLabels: {} }, ingress: [] },
    ],
  ];
  for (const [name, spec, object] of table) {
    t.strictSame(policy(spec).complaints, [], name);
    t.match(policy(spec).object, object, name);
  }
  const newer = policy({
    ...selected,
    policyTypes: ['Ingress'],
    ingress: [{ from: [{ somethingNew: {} }] }],
  });
  t.match(newer.complaints, [
    { field: 'spec.ingress[0].from[0].somethingNew', message: /unknown field/ },
  ]);
  t.match(newer.object, {
    kind: 'NetworkPolicy',
    ingress: [],
    podSelector: { matchLabels: { app: 'cart' } },
  });
});

test('nodes and namespaces are read by their labels', async (t) => {
  const labels = { 'topology.kubernetes.io/zone': 'eu-1a' };
  const metadata = { ...serverFields, name: 'n1', labels };
  t.match(
    builtIn('Node', { metadata, spec: { podCIDR: '10.1.0.0/24' }, status: { addresses: [] } }),
    {
      key: 'n1',
      object: { kind: 'Node', meta: { name: 'n1', namespace: '', labels } },
    },
  );
  t.match(builtIn('Namespace', { metadata, status: { phase: 'Active' } }).object, {
    kind: 'Namespace',
  });
});

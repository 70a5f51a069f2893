import { test } from 'tap';
import type { Workload } from '../../../common/mesh/workload.ts';
import type { ModelDiff, ModelOptions } from '../../../controller/model/diff.ts';
import { Model } from '../../../controller/model/model.ts';
import type { Labels, MeshObject } from '../../../controller/model/objects.ts';
import {
  MESHED,
  authorization,
  endpoint,
  gone,
  meta,
  namespace,
  node,
  pod,
  service,
  serviceEntry,
  set,
  slice,
} from '../../helpers/mesh-objects.ts';

function world(...objects: MeshObject[]): ModelDiff {
  return new Model().apply(set(namespace('shop', MESHED), ...objects));
}

function workload(diff: ModelDiff, name: string): Workload | undefined {
  return diff.workloads.find((one) => one.name === name);
}

test('a pod becomes a workload with its names, its place and its owner', async (t) => {
  const labels = { app: 'cart', 'app.kubernetes.io/version': 'v2' };
  const diff = world(
    node('n1', 'z1'),
    pod('cart-0', '10.0.0.1', {
      addresses: ['10.0.0.1', 'fd00::1'],
      serviceAccount: 'cart',
      owner: { kind: 'Deployment', name: 'cart-server' },
      meta: { labels },
    }),
  );
  t.strictSame(diff.workloads, [
    {
      uid: 'Kubernetes//Pod/shop/cart-0',
      name: 'cart-0',
      namespace: 'shop',
      serviceAccount: 'cart',
      trustDomain: 'cluster.local',
      addresses: ['10.0.0.1', 'fd00::1'],
      hostname: '',
      node: 'n1',
      cluster: 'Kubernetes',
      tunnel: 'hbone',
      hostNetwork: false,
      canonicalName: 'cart',
      canonicalRevision: 'v2',
      workloadName: 'cart-server',
      workloadType: 'deployment',
      locality: { region: 'eu', zone: 'z1', subzone: '' },
      weight: 1,
      health: 'ready',
      memberships: [],
      policies: [],
    },
  ]);
});

test('a pod is a workload from its first address until it has completed', async (t) => {
  const model = new Model();
  t.equal(model.apply(set(pod('p', ''))).workloads.length, 0);
  t.equal(model.apply(set(pod('p', '10.0.0.1', { ready: false }))).workloads.length, 1);
  const ending = model.apply(set(pod('p', '10.0.0.1', { terminating: true })));
  t.match(ending.workloads, [{ health: 'terminating' }]);
  const done = model.apply(set(pod('p', '10.0.0.1', { phase: 'Succeeded' })));
  t.strictSame(done.removed.workloads, ['Kubernetes//Pod/shop/p']);
  t.strictSame(done.removed.pods, ['Kubernetes//Pod/shop/p']);
});

test('a pod is enrolled by its own label, else by that of its namespace', async (t) => {
  const mode = (value: string): Labels => ({ 'plumbline.dev/dataplane-mode': value });
  const alias = { 'istio.io/dataplane-mode': 'ambient' };
  const table: readonly (readonly [string, Labels, Labels, Partial<ModelOptions>, string])[] = [
    ['namespace', mode('ambient'), {}, {}, ''],
    ['pod', {}, mode('ambient'), {}, ''],
    ['alias', alias, {}, {}, ''],
    ['our name before the alias', { ...alias, ...mode('none') }, {}, {}, 'namespace opted out'],
    ['nobody', {}, {}, {}, 'not labelled'],
    ['pod says no', mode('ambient'), mode('none'), {}, 'opted out'],
    ['namespace says no', mode('none'), {}, {}, 'namespace opted out'],
    ['bypass', mode('ambient'), { 'plumbline.dev/bypass': 'true' }, {}, 'bypass'],
    ['nonsense', mode('ambiant'), {}, {}, 'unknown dataplane mode "ambiant"'],
    ['excluded', mode('ambient'), {}, { excludedNamespaces: ['shop'] }, 'excluded namespace'],
    ['root', mode('ambient'), {}, { rootNamespace: 'shop' }, 'system namespace'],
  ];
  for (const [name, ofNamespace, ofPod, options, wanted] of table) {
    const model = new Model(options);
    const diff = model.apply(
      set(namespace('shop', ofNamespace), pod('p', '10.0.0.1', { meta: { labels: ofPod } })),
    );
    t.equal(diff.pods[0]?.pod.exemption, wanted, name);
    t.equal(diff.pods[0]?.pod.enrolled, wanted === '', name);
    t.equal(diff.workloads[0]?.tunnel, wanted === '' ? 'hbone' : 'none', name);
  }
});

test('a pod on the host network or with a sidecar is never enrolled', async (t) => {
  const annotations = { 'sidecar.istio.io/status': '{}' };
  const diff = world(
    pod('host', '10.0.0.1', { hostNetwork: true }),
    pod('sidecar', '10.0.0.2', { meta: { annotations } }),
  );
  t.strictSame(
    diff.pods.map(({ pod: { exemption } }) => exemption),
    ['host network', 'has a sidecar'],
  );
  t.equal(workload(diff, 'host')?.hostNetwork, true);
});

test('capture options come from annotations, and what cannot be read opens no hole', async (t) => {
  const annotations = {
    'plumbline.dev/exclude-inbound-ports': '9090, 22',
    'plumbline.dev/exclude-outbound-ports': '0,70000,http, 443',
    'plumbline.dev/exclude-outbound-cidrs': '10.0.0.0/8,10.0.0.0/99',
    'plumbline.dev/cut-existing': 'true',
  };
  const model = new Model();
  const diff = model.apply(
    set(
      namespace('shop', { ...MESHED, 'plumbline.dev/fail-open': 'true' }),
      namespace('bank', { ...MESHED, 'plumbline.dev/dns-capture': 'true' }),
      pod('p', '10.0.0.1', { meta: { annotations } }),
      pod('q', '10.0.0.2', { meta: { namespace: 'bank' } }),
    ),
  );
  const options = diff.pods.map(({ pod: local }) => local.options);
  t.strictSame(options, [
    {
      excludeInboundPorts: [22, 9090],
      excludeOutboundPorts: [443],
      excludeOutboundCidrs: ['10.0.0.0/8'],
      dnsCapture: false,
      failClosed: false,
      cutExisting: true,
    },
    {
      excludeInboundPorts: [],
      excludeOutboundPorts: [],
      excludeOutboundCidrs: [],
      dnsCapture: true,
      failClosed: true,
      cutExisting: false,
    },
  ]);
});

test('with tunnelWhen "captured" peers use the tunnel once that very pod is captured', async (t) => {
  const model = new Model({ tunnelWhen: 'captured' });
  const report = (podUid: string): MeshObject => ({
    kind: 'CaptureReport',
    meta: meta('p'),
    podUid,
  });
  const before = model.apply(set(namespace('shop', MESHED), pod('p', '10.0.0.1')));
  t.match(before.workloads, [{ tunnel: 'none' }]);
  t.equal(model.apply(set(report('uid-of-another'))).workloads.length, 0);
  t.match(model.apply(set(report('uid-p'))).workloads, [{ tunnel: 'hbone' }]);
  const anew = model.apply(set(pod('p', '10.0.0.1', { podUid: 'made again' })));
  t.match(anew.workloads, [{ tunnel: 'none' }]);
});

test('a pod is a member of a service once, though a slice of each family names it', async (t) => {
  const v6 = slice('cart', ['cart-0=fd00::1']);
  const diff = world(
    pod('cart-0', '10.0.0.1'),
    service('cart'),
    slice('cart', ['cart-0=10.0.0.1']),
    { ...v6, meta: meta('cart-v6') },
  );
  t.strictSame(workload(diff, 'cart-0')?.memberships, [
    {
      service: 'shop/cart.shop.svc.cluster.local',
      ports: [{ servicePort: 80, targetPort: 8080 }],
    },
  ]);
});

test('a slice without its service, and a service port without its endpoint, are left out', async (t) => {
  const model = new Model();
  const diff = model.apply(set(pod('cart-0', '10.0.0.1'), slice('cart', ['cart-0=10.0.0.1'])));
  t.strictSame(workload(diff, 'cart-0')?.memberships, []);
  const ports = [
    { name: 'http', port: 80, targetPort: 8080, appProtocol: '' },
    { name: 'admin', port: 81, targetPort: 'admin', appProtocol: '' },
  ];
  const later = model.apply(set(service('cart', { ports })));
  t.strictSame(workload(later, 'cart-0')?.memberships[0]?.ports, [
    { servicePort: 80, targetPort: 8080 },
  ]);
  const after = model.apply([gone(service('cart'))]);
  t.strictSame(workload(after, 'cart-0')?.memberships, []);
});

test('an endpoint without a pod is a workload of its own, in clear', async (t) => {
  const model = new Model();
  const diff = model.apply(set(service('db', { selector: undefined }), slice('db', ['=10.9.0.1'])));
  t.match(diff.workloads, [
    {
      uid: 'Kubernetes/discovery.k8s.io/EndpointSlice/shop/db-v4/10.9.0.1',
      tunnel: 'none',
      addresses: ['10.9.0.1'],
      memberships: [{ service: 'shop/db.shop.svc.cluster.local' }],
    },
  ]);
  const moved = model.apply(set(slice('db', ['=10.9.0.2'])));
  t.strictSame(
    moved.removed.workloads,
    diff.workloads.map(({ uid }) => uid),
  );
});

test('a ServiceEntry makes a service per host and a workload per endpoint', async (t) => {
  const diff = world(
    serviceEntry('pay', {
      hosts: ['pay.example', 'pay2.example'],
      endpoints: [
        endpoint('192.0.2.1', { ports: { tls: 8443 }, weight: 3, locality: 'eu/z1' }),
        endpoint('192.0.2.1'),
      ],
    }),
  );
  t.strictSame(
    diff.services.map(({ key }) => key),
    ['shop/pay.example', 'shop/pay2.example'],
  );
  t.match(diff.workloads, [
    {
      uid: 'Kubernetes/networking.istio.io/ServiceEntry/shop/pay/192.0.2.1',
      weight: 3,
      locality: { region: 'eu', zone: 'z1', subzone: '' },
      memberships: [
        { service: 'shop/pay.example', ports: [{ servicePort: 443, targetPort: 8443 }] },
        { service: 'shop/pay2.example' },
      ],
    },
    { uid: 'Kubernetes/networking.istio.io/ServiceEntry/shop/pay/192.0.2.1-1', weight: 1 },
  ]);
});

test('a ServiceEntry resolves by DNS, passes through, or selects workloads', async (t) => {
  const dns = world(serviceEntry('dns', { resolution: 'DNS' }));
  t.match(dns.workloads, [{ hostname: 'dns.example', addresses: [] }]);
  const none = world(serviceEntry('none', { resolution: 'NONE' }));
  t.equal(none.workloads.length, 0);
  t.match(none.services, [{ loadBalancing: { mode: 'passthrough' } }]);
  const labels = { app: 'legacy' };
  const selected = world(
    serviceEntry('own', { workloadSelector: labels }),
    pod('p', '10.0.0.1', { meta: { labels } }),
    { kind: 'WorkloadEntry', meta: meta('vm'), endpoint: endpoint('192.0.2.9', { labels }) },
    { kind: 'WorkloadEntry', meta: meta('other'), endpoint: endpoint('192.0.2.8') },
  );
  t.strictSame(
    selected.workloads.map(({ name, memberships }) => [name, memberships.map((m) => m.service)]),
    [
      ['p', ['shop/own.example']],
      ['vm', ['shop/own.example']],
      ['other', []],
    ],
  );
});

test('a Service selects WorkloadEntries, with their own port numbers', async (t) => {
  const labels = { app: 'cart' };
  const ports = [
    { name: 'http', port: 80, targetPort: 8080, appProtocol: '' },
    { name: 'admin', port: 81, targetPort: 'manage', appProtocol: '' },
    { name: 'lost', port: 82, targetPort: 'nowhere', appProtocol: '' },
  ];
  const diff = world(service('cart', { ports }), {
    kind: 'WorkloadEntry',
    meta: meta('vm', { labels }),
    endpoint: endpoint('192.0.2.9', { ports: { http: 8081, manage: 9000 } }),
  });
  t.strictSame(workload(diff, 'vm')?.memberships, [
    {
      service: 'shop/cart.shop.svc.cluster.local',
      ports: [
        { servicePort: 80, targetPort: 8081 },
        { servicePort: 81, targetPort: 9000 },
      ],
    },
  ]);
});

test('a workload lists the selector policies of its namespace and of the mesh, sorted', async (t) => {
  const diff = world(
    pod('cart-0', '10.0.0.1', { meta: { labels: { app: 'cart' } } }),
    authorization('z', { selector: { app: 'cart' } }),
    authorization('a', { selector: { app: 'pay' } }),
    authorization('whole', {}),
    authorization('root', { selector: { app: 'cart' }, meta: { namespace: 'plumbline-system' } }),
    authorization('far', { selector: { app: 'cart' }, meta: { namespace: 'bank' } }),
  );
  t.strictSame(workload(diff, 'cart-0')?.policies, [
    'authorization/plumbline-system/root',
    'authorization/shop/z',
  ]);
});

test('a pod made again on another node is placed there under the same uid', async (t) => {
  const model = new Model();
  model.apply(set(pod('p', '10.0.0.1')));
  const diff = model.apply(set(pod('p', '10.0.0.2', { node: 'n2', podUid: 'second' })));
  t.match(diff.pods, [{ node: 'n2', pod: { podUid: 'second', uid: 'Kubernetes//Pod/shop/p' } }]);
  t.strictSame(diff.removed.pods, []);
});

import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { formatProblem } from '../../../common/control/desired.ts';
import { directoryError, loadDirectory } from '../../../controller/kube/directory-load.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures/directory');

/** What every directory in these tests begins with, so that each case shows its own mistake alone. */
const BASE = `
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: Node
metadata: { name: n1 }
`;

async function problemsOf(t: Test, yaml: string): Promise<string[]> {
  const directory = t.testdir({ 'a-base.yaml': BASE, 'b.yaml': yaml });
  return (await loadDirectory(directory)).problems.map(formatProblem);
}

const service = (spec: string): string =>
  `apiVersion: v1\nkind: Service\nmetadata: { name: cart, namespace: shop }\nspec:\n${spec}`;
const pod = (spec: string, name = 'p'): string =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: ${name}, namespace: shop }\nspec:\n  containers: [{ name: main, command: [x] }]\n${spec}`;
const policy = (spec: string): string =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: a, namespace: shop }\nspec:\n${spec}`;

test('loadDirectory() reads one of everything', async (t) => {
  const loaded = await loadDirectory(join(FIXTURES, 'good'));
  t.strictSame(loaded.problems.map(formatProblem), []);
  t.equal(loaded.objects.length, 21);
  t.equal(new Set(loaded.objects.map(({ kind }) => kind)).size, 18, 'every kind there is');
});

test('loadDirectory() names file, line, object and field of each mistake', async (t) => {
  const table: readonly (readonly [string, string, string])[] = [
    [
      'syntax',
      'a: [1, 2\nb: 3\n',
      'b.yaml:2: not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    [
      'a key twice',
      service('  ports: []\n  selector: {}\n  ports: []\n'),
      'b.yaml:7: Service shop/cart: spec.ports: a second time in the same mapping; expected once',
    ],
    [
      'unknown kind',
      'apiVersion: v1\nkind: Servce\nmetadata: { name: cart, namespace: shop }\n',
      'b.yaml:2: Servce shop/cart: kind: unknown kind "Servce"; expected one of Namespace, Node, ServiceAccount, Pod, Deployment, Service, EndpointSlice, NetworkPolicy, AuthorizationPolicy, PeerAuthentication, ServiceEntry, WorkloadEntry, HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, Gateway, ReferenceGrant; did you mean "Service"?',
    ],
    [
      'wrong group',
      'kind: Service\napiVersion: v2\nmetadata: { name: cart, namespace: shop }\n',
      'b.yaml:2: Service shop/cart: apiVersion: "v2"; expected one of v1; did you mean "v1"?',
    ],
    [
      'unknown field',
      service('  ports:\n    - prot: 80\n      port: 80\n'),
      'b.yaml:6: Service shop/cart: spec.ports[0].prot: unknown field "prot"; expected one of name, port, targetPort, protocol, appProtocol; did you mean "port"?',
    ],
    [
      'missing field',
      service('  ports:\n    - name: http\n'),
      'b.yaml:6: Service shop/cart: spec.ports[0].port: missing; expected a whole number from 1 to 65535',
    ],
    [
      'wrong value',
      service('  sessionAffinity: clientip\n'),
      'b.yaml:5: Service shop/cart: spec.sessionAffinity: "clientip"; expected one of None, ClientIP; did you mean "ClientIP"?',
    ],
    [
      'a number that should be text',
      pod('') + '---\napiVersion: v1\nkind: Node\nmetadata:\n  name: n2\n  labels:\n    rack: 7\n',
      'b.yaml:12: Node n2: metadata.labels.rack: the number 7; expected a label value: at most 63 letters, digits, "-", "_", "."; numbers and true need quotes',
    ],
    [
      'unknown namespace',
      'apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: a, namespace: shpo }\n',
      'b.yaml:3: ServiceAccount shpo/a: metadata.namespace: no Namespace "shpo"; expected one that the directory holds; did you mean "shop"?',
    ],
    [
      'unknown service account',
      pod('  serviceAccountName: cart\n'),
      'b.yaml:6: Pod shop/p: spec.serviceAccountName: no ServiceAccount "cart" in namespace "shop"; expected one that the directory holds',
    ],
    [
      'unknown node',
      pod('  nodeName: n9\n'),
      'b.yaml:6: Pod shop/p: spec.nodeName: no Node "n9"; expected one that the directory holds; did you mean "n1"?',
    ],
    [
      'no node fits',
      pod('  nodeSelector: { disk: fast }\n'),
      'b.yaml:6: Pod shop/p: spec.nodeSelector: selects no Node; expected the labels of at least one',
    ],
    [
      'duplicate object',
      `${pod('')}---\n${pod('')}`,
      'b.yaml:9: Pod shop/p: metadata.name: already at b.yaml:3; expected each object once',
    ],
    [
      'shared address',
      `${service('  clusterIP: 10.32.0.5\n')}---\n${service('  clusterIP: 10.32.0.5\n').replace('name: cart', 'name: pay')}`,
      'b.yaml:11: Service shop/pay: spec.clusterIP: "10.32.0.5" belongs to Service shop/cart; expected an address of its own',
    ],
    [
      'unknown target port',
      `${service('  selector: { app: cart }\n  ports:\n    - port: 80\n      targetPort: htpp\n')}---\n${pod('').replace('namespace: shop', 'namespace: shop, labels: { app: cart }').replace('[x] }]', '[x], ports: [{ name: http, containerPort: 80 }] }]')}`,
      'b.yaml:8: Service shop/cart: spec.ports[0].targetPort: targetPort "htpp" of port 80 is no port of the selected pods; expected http; did you mean "http"?',
    ],
    [
      'probe of an unknown port',
      pod('').replace('[x] }]', '[x], readinessProbe: { tcpSocket: { port: web } } }]'),
      'b.yaml:5: Pod shop/p: spec.containers[0].readinessProbe.tcpSocket.port: no container port "web"; expected a number: no port has a name',
    ],
    [
      'misspelt switch',
      'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: bank\n  labels:\n    plumbline.dev/dataplan-mode: ambient\n',
      'b.yaml:6: Namespace bank: metadata.labels["plumbline.dev/dataplan-mode"]: unknown label "plumbline.dev/dataplan-mode"; expected one of plumbline.dev/dataplane-mode, plumbline.dev/bypass, plumbline.dev/fail-open, plumbline.dev/on-failure, plumbline.dev/dns-capture, plumbline.dev/cut-existing, plumbline.dev/dry-run, plumbline.dev/load-balancing, plumbline.dev/exclude-inbound-ports, plumbline.dev/exclude-outbound-ports, plumbline.dev/exclude-outbound-cidrs, topology.plumbline.dev/subzone; did you mean "plumbline.dev/dataplane-mode"?',
    ],
    [
      'wrong switch',
      'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: bank\n  labels:\n    istio.io/dataplane-mode: ambiant\n',
      'b.yaml:6: Namespace bank: metadata.labels["istio.io/dataplane-mode"]: "ambiant"; expected one of ambient, none',
    ],
    [
      'CUSTOM',
      policy('  action: CUSTOM\n'),
      'b.yaml:5: AuthorizationPolicy shop/a: spec.action: "CUSTOM"; expected one of ALLOW, DENY, AUDIT',
    ],
    [
      'a denial of HTTP alone',
      policy('  action: DENY\n  rules:\n    - to:\n        - operation: { paths: [/x] }\n'),
      'b.yaml:8: AuthorizationPolicy shop/a: spec.rules[0].to[0].operation.paths: needs HTTP, which is not looked at here; without it spec.rules[0] would match every connection; expected a field of the connection beside it',
    ],
    [
      'an identity with its scheme',
      policy(
        '  rules:\n    - from:\n        - source:\n            principals: ["spiffe://a/ns/b/sa/c"]\n',
      ),
      'b.yaml:8: AuthorizationPolicy shop/a: spec.rules[0].from[0].source.principals[0]: "spiffe://a/ns/b/sa/c"; expected an identity without "spiffe://", such as "cluster.local/ns/shop/sa/cart"; "*" may begin or end it',
    ],
    [
      'an unknown condition',
      policy('  rules:\n    - when:\n        - key: source.ipp\n          values: [a]\n'),
      'b.yaml:7: AuthorizationPolicy shop/a: spec.rules[0].when[0].key: unknown key "source.ipp"; expected one of source.ip, source.namespace, source.principal, source.serviceAccount, destination.ip, destination.port; did you mean "source.ip"?',
    ],
    [
      'an empty source',
      policy('  rules:\n    - from:\n        - source: {}\n'),
      'b.yaml:7: AuthorizationPolicy shop/a: spec.rules[0].from[0].source: nothing in it; expected one of principals, notPrincipals, namespaces, notNamespaces, serviceAccounts, notServiceAccounts, ipBlocks, notIpBlocks, remoteIpBlocks, notRemoteIpBlocks, requestPrincipals, notRequestPrincipals',
    ],
    [
      'egress',
      'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: n, namespace: shop }\nspec:\n  podSelector: {}\n  egress: []\n',
      'b.yaml:6: NetworkPolicy shop/n: spec.egress: unknown field "egress"; expected one of podSelector, policyTypes, ingress',
    ],
  ];
  for (const [name, yaml, wanted] of table) {
    t.strictSame(await problemsOf(t, yaml), [wanted], name);
  }
});

test('loadDirectory() takes the switches of a namespace, and no other value of them', async (t) => {
  const namespace = (key: string, value: string): string =>
    `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: bank\n  labels: { ${key}: "${value}" }\n`;
  const table: [string, string, string][] = [
    ['plumbline.dev/dataplane-mode', 'ambient', 'on'],
    ['plumbline.dev/fail-open', 'true', 'yes'],
    ['plumbline.dev/on-failure', 'open', 'fail'],
    ['plumbline.dev/cut-existing', 'false', '1'],
  ];
  for (const [key, good, bad] of table) {
    t.strictSame(await problemsOf(t, namespace(key, good)), [], key);
    t.match(await problemsOf(t, namespace(key, bad)), [new RegExp(`"${bad}"; expected one of`)]);
  }
});

test('loadDirectory() reports every mistake of a file, and no object of it', async (t) => {
  const directory = t.testdir({
    'a.yaml': BASE,
    'b.yaml': service('  ports: [{ port: 0 }]\n  selector: [x]\n  kind: x\n'),
    'c.yaml': 'kind: 7\n',
  });
  const loaded = await loadDirectory(directory);
  t.strictSame(loaded.objects, []);
  t.strictSame(
    loaded.problems.map(({ file, field }) => [file, field]),
    [
      ['b.yaml', 'spec.kind'],
      ['b.yaml', 'spec.selector'],
      ['b.yaml', 'spec.ports[0].port'],
      ['c.yaml', 'kind'],
    ],
  );
});

test('loadDirectory() refuses a bomb of aliases', async (t) => {
  const rows = Array.from({ length: 9 }, (_, i) => {
    const below = Array.from({ length: 9 }, () => (i === 0 ? 'x' : `*a${i - 1}`)).join(', ');
    return `a${i}: &a${i} [${below}]`;
  });
  const [first = ''] = await problemsOf(t, rows.join('\n'));
  t.match(first, /^b\.yaml:1: not YAML: .*alias/i);
});

test('loadDirectory() refuses what is nested without end', async (t) => {
  const deep = 50_000;
  const closed = `a: ${'['.repeat(deep)}${']'.repeat(deep)}`;
  for (const yaml of ['['.repeat(deep), '- '.repeat(deep), '{a: '.repeat(deep), closed]) {
    const problems = await problemsOf(t, yaml);
    t.ok(problems.length > 0);
    t.ok(problems.every((line) => line.startsWith('b.yaml:')));
  }
});

test('loadDirectory() looks in folders, and not where sources of others lie', async (t) => {
  const broken = 'kind: [';
  const directory = t.testdir({
    'base.yaml': BASE,
    deep: { er: { 'sa.yml': 'apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: a }\n' } },
    node_modules: { 'x.yaml': broken },
    '.hidden': { 'x.yaml': broken },
    '.x.yaml': broken,
    'notes.txt': broken,
    'empty.yaml': '',
    'comment.yaml': '# nothing\n---\n',
  });
  const loaded = await loadDirectory(directory);
  t.strictSame(loaded.problems, []);
  t.strictSame(
    loaded.objects.map(({ kind, meta }) => `${kind} ${meta.namespace}/${meta.name}`),
    ['Namespace /shop', 'Node /n1', 'ServiceAccount default/a'],
  );
});

test('loadDirectory() never leaves out a file that it cannot read', async (t) => {
  const account = 'apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: x }\n';
  const root = t.testdir({ linked: { 'a.yaml': account }, deep: { 'a.yaml': account } });
  const linked = join(root, 'linked');
  symlinkSync('nowhere', join(linked, 'b.yaml'));
  const loaded = await loadDirectory(linked);
  t.strictSame(loaded.objects, []);
  t.match(loaded.problems.map(formatProblem), [/^b\.yaml: cannot be read: ENOENT/]);

  const deep = join(root, 'deep');
  const sixteen = join(deep, ...Array.from({ length: 16 }, () => 'd'));
  mkdirSync(sixteen, { recursive: true });
  writeFileSync(join(sixteen, 'b.yaml'), account.replace('x', 'y'));
  t.equal((await loadDirectory(deep)).objects.length, 2);
  mkdirSync(join(sixteen, 'd'));
  await t.rejects(loadDirectory(deep), { code: 'CONFIG_INVALID', message: /16 folders deep/ });
});

test('loadDirectory() warns of rules that need HTTP, with file and line', async (t) => {
  const ruleWithHttp = (name: string, action: string, from: string): string =>
    `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name} }
spec:
  action: ${action}
  rules:
    - from: [{ source: { ${from} } }]
      to:
        - operation: { methods: [GET] }
`;
  const directory = t.testdir({
    'a.yaml': ruleWithHttp('left-out', 'ALLOW', 'namespaces: [x]'),
    'b.yaml': ruleWithHttp('wider', 'DENY', 'namespaces: [x]'),
    'c.yaml': ruleWithHttp('plain', 'ALLOW', 'namespaces: [x]').replace(/\n {6}to:[^]*/, '\n'),
  });
  const loaded = await loadDirectory(directory);
  t.strictSame(loaded.problems, []);
  t.equal(loaded.objects.length, 3);
  t.strictSame(loaded.warnings.map(formatProblem), [
    'a.yaml:9: AuthorizationPolicy default/left-out: spec.rules[0].to[0].operation.methods: needs HTTP, which is not looked at here; the whole spec.rules[0] is left out, so it allows nothing',
    'b.yaml:9: AuthorizationPolicy default/wider: spec.rules[0].to[0].operation.methods: needs HTTP, which is not looked at here; spec.rules[0] is judged without it, so it matches more',
  ]);
});

test('loadDirectory() says when there is no such directory', async (t) => {
  await t.rejects(loadDirectory(join(t.testdir({}), 'none')), { code: 'CONFIG_INVALID' });
});

test('directoryError() gives the first mistake and the number of the others', async (t) => {
  const one = { file: 'a.yaml', line: 3, object: 'Pod shop/p', field: 'spec', message: 'missing' };
  const error = directoryError('/x', [one, one, one]);
  t.equal(error.code, 'CONFIG_INVALID');
  t.equal(
    error.message,
    'Cannot use the directory "/x": a.yaml:3: Pod shop/p: spec: missing (and 2 more)',
  );
});

test('the example of all kinds stays in step with docs/directory.md', async (t) => {
  const docs = readFileSync(join(import.meta.dirname, '../../../docs/directory.md'), 'utf8');
  const loaded = await loadDirectory(join(FIXTURES, 'good'));
  const titles = docs.split('\n').filter((line) => line.startsWith('### '));
  const named = new Set(titles.flatMap((title) => title.slice('### '.length).split(', ')));
  const missing = loaded.objects.filter(({ kind }) => !named.has(kind));
  t.strictSame(missing, []);
});

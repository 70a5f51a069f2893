import { join } from 'node:path';
import { test, type Test } from 'tap';
import { formatProblem } from '../../../common/control/desired.ts';
import { loadDirectory } from '../../../controller/kube/directory-load.ts';
import type { LoadedDirectory } from '../../../controller/kube/directory-load.ts';

const BASE = `
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: db, namespace: shop }
spec: { clusterIP: None, ports: [{ port: 80 }] }
`;

async function load(t: Test, yaml: string): Promise<LoadedDirectory> {
  return loadDirectory(t.testdir({ 'a.yaml': BASE, 'b.yaml': yaml }));
}

function routeYaml(spec: string, kind = 'HTTPRoute'): string {
  return `apiVersion: gateway.networking.k8s.io/v1\nkind: ${kind}\nmetadata: { name: r, namespace: shop, generation: 7 }\nspec:\n  parentRefs: [{ group: '', kind: Service, name: cart }]\n${spec}`;
}

test('loadDirectory() refuses what is no route of the Gateway API, by field', async (t) => {
  const rule = (text: string): string => routeYaml(`  rules: [{ ${text} }]\n`);
  const filter = (text: string): string => rule(`filters: [{ ${text} }]`);
  const table: readonly (readonly [yaml: string, message: string])[] = [
    [
      rule('mathces: []'),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].mathces: unknown field "mathces"; expected one of name, matches, filters, backendRefs, timeouts, retry, sessionPersistence; did you mean "matches"?',
    ],
    [
      rule('matches: [{ path: { value: "/a//b" } }]'),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].matches[0].path.value: "/a//b"; expected a path that begins with "/", without "//", "/./", "/../" and "%2F"',
    ],
    [
      rule('matches: [{ method: get }]'),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].matches[0].method: "get"; expected one of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH; did you mean "GET"?',
    ],
    [
      rule('backendRefs: [{ name: cart }]'),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].backendRefs[0].port: missing; expected a whole number from 1 to 65535 of the Service',
    ],
    [
      rule('timeouts: { request: 10 }'),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].timeouts.request: the number 10; expected a duration such as "500ms", "10s" or "1m30s"',
    ],
    [
      rule('timeouts: { request: 1s, backendRequest: 1m }'),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].timeouts.backendRequest: longer than request; expected at most as long',
    ],
    [
      filter('type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath } }'),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].filters[0].urlRewrite.path: type ReplaceFullPath; expected replaceFullPath, and no replacePrefixMatch',
    ],
    [
      filter('type: URLRewrite, cors: {}'),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].filters[0].cors: beside type URLRewrite; expected urlRewrite alone',
    ],
    [
      filter('type: CORS'),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].filters[0].cors: missing; expected it beside type CORS',
    ],
    [
      filter(
        'type: RequestMirror, requestMirror: { percent: 5, fraction: { numerator: 1 }, backendRef: { name: cart, port: 80 } }',
      ),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].filters[0].requestMirror: percent and fraction; expected one of the two',
    ],
    [
      filter(
        'type: RequestMirror, requestMirror: { fraction: { numerator: 2, denominator: 1 }, backendRef: { name: cart, port: 80 } }',
      ),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].filters[0].requestMirror.fraction.numerator: more than the denominator; expected at most as much',
    ],
    [
      filter('type: RequestRedirect, requestRedirect: { statusCode: 304 }'),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].filters[0].requestRedirect.statusCode: 304; expected one of 301, 302, 303, 307, 308',
    ],
    [
      rule(
        'filters: [{ type: RequestRedirect, requestRedirect: {} }], backendRefs: [{ name: cart, port: 80 }]',
      ),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].backendRefs: beside a RequestRedirect; expected none',
    ],
    [
      rule('sessionPersistence: { cookieConfig: { lifetimeType: Permanent } }'),
      'b.yaml:6: HTTPRoute shop/r: spec.rules[0].sessionPersistence.absoluteTimeout: missing; expected it with lifetimeType Permanent',
    ],
    [
      routeYaml('  rules: [{ matches: [{ method: {} }] }]\n', 'GRPCRoute'),
      'b.yaml:6: GRPCRoute shop/r: spec.rules[0].matches[0].method: nothing in it; expected service, method or both',
    ],
    [
      routeYaml('  rules: [{ backendRefs: [{ name: cart, port: 80 }] }]\n', 'TLSRoute'),
      'b.yaml:4: TLSRoute shop/r: spec.hostnames: missing; expected a list of at least 1',
    ],
    [
      'apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: { name: g, namespace: shop }\nspec:\n  gatewayClassName: plumbline\n  listeners: [{ name: a, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: Selector } } }]\n',
      'b.yaml:6: Gateway shop/g: spec.listeners[0].allowedRoutes.namespaces: from Selector; expected a selector with Selector alone',
    ],
  ];
  for (const [yaml, message] of table) {
    const { problems } = await load(t, yaml);
    t.strictSame(problems.map(formatProblem), [message]);
  }
});

test('loadDirectory() refuses versions and kinds of the Gateway API that are not served', async (t) => {
  const old = routeYaml('  rules: []\n', 'TCPRoute').replace('/v1\n', '/v1alpha2\n');
  t.match((await load(t, old)).problems.map(formatProblem), [
    /TCPRoute shop\/r: apiVersion: "gateway.networking.k8s.io\/v1alpha2"; expected one of gateway.networking.k8s.io\/v1/,
  ]);
  t.match((await load(t, routeYaml('  rules: []\n', 'UDPRoute'))).problems.map(formatProblem), [
    /unknown kind "UDPRoute"/,
  ]);
});

test('loadDirectory() warns that routes have no effect yet, and of what their status would say', async (t) => {
  const rules = `
  rules:
    - backendRefs: [{ name: cart, port: 80 }]
    - backendRefs: [{ name: nobody, port: 80 }]
    - filters: [{ type: ExtensionRef, extensionRef: { group: x.example, kind: F, name: f } }]
`;
  const headless = routeYaml('  rules: [{}]\n', 'HTTPRoute')
    .replace('name: cart', 'name: db')
    .replace('name: r', 'name: h');
  const loaded = await load(t, `${routeYaml(rules)}---\n${headless}`);
  t.strictSame(loaded.problems, []);
  t.strictSame(loaded.warnings.map(formatProblem), [
    'b.yaml:2: HTTPRoute shop/r: kind: no waypoint or gateway serves this yet, so it has no effect',
    'b.yaml:9: HTTPRoute shop/r: spec.rules[1].backendRefs[0]: BackendNotFound: rules[1].backendRefs[0]: there is no Service shop/nobody',
    'b.yaml:10: HTTPRoute shop/r: spec.rules[2].filters[0]: UnsupportedValue: Dropped Rule: rules[2].filters[0]: a filter of type ExtensionRef, which is not done here',
    'b.yaml:13: HTTPRoute shop/h: kind: no waypoint or gateway serves this yet, so it has no effect',
    'b.yaml:16: HTTPRoute shop/h: spec.parentRefs[0]: UnsupportedValue: Service shop/db is headless, so it has no address to which a route could belong',
  ]);
  const none = await load(t, '');
  t.strictSame(none.warnings, []);
});

test('loadDirectory() reads every field of a route into the model’s form', async (t) => {
  const { objects, warnings } = await loadDirectory(
    join(import.meta.dirname, '../../fixtures/directory/good'),
  );
  t.equal(
    warnings.filter(({ message }) => message.startsWith('no waypoint or gateway')).length,
    6,
    'one for each',
  );
  t.strictSame(
    warnings.filter(({ field }) => field.includes('spec.')).map(formatProblem),
    [],
    'and nothing is wrong with them',
  );
  t.match(
    objects.find(({ kind }) => kind === 'HTTPRoute'),
    {
      parents: [{ group: '', kind: 'Service', name: 'cart', port: 80 }],
      rules: [
        {
          name: 'canary',
          matches: [
            {
              path: { kind: 'prefix', value: '/v2' },
              method: '',
              headers: [{ name: 'X-Canary', kind: 'exact', value: 'yes' }],
            },
          ],
          timeouts: { requestMs: 10_000, backendRequestMs: 1500 },
          retry: { codes: [503], attempts: 1, backoffMs: 50 },
          persistence: { kind: 'cookie', name: '', idleTimeoutMs: 3_600_000, isPermanent: false },
          backends: [{ weight: 9 }, { weight: 0 }],
        },
        { filters: [{ type: 'RequestRedirect', status: 301 }] },
      ],
    },
  );
  const [generation] = (await load(t, routeYaml('  rules: [{}]\n'))).objects.flatMap((one) =>
    one.kind === 'HTTPRoute' ? [one.generation] : [],
  );
  t.equal(generation, 7);
});

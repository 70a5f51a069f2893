import { test } from 'tap';
import type { CorsFilter, RedirectFilter } from '#common/mesh/route.ts';
import { changePath } from '../../../waypoint/routing/change-path.ts';
import { compileRule } from '../../../waypoint/routing/compiled.ts';
import { corsHeaders, isPreflight, parseOrigin } from '../../../waypoint/routing/cors.ts';
import { applyHeaderFilters, HeaderList } from '../../../waypoint/routing/header-list.ts';
import { answerOf, FAILURES, isMirrored, pickBackend } from '../../../waypoint/routing/outcome.ts';
import { Router } from '../../../waypoint/routing/router.ts';
import {
  backend,
  exact,
  frontend,
  match,
  prefix,
  request,
  route,
  rule,
} from '../../helpers/routes.ts';

const HTTP = { scheme: 'http', port: 80 } as const;

test('changePath() replaces prefixes as the table of the Gateway API says', async (t) => {
  const table = [
    ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz/', '/xyz/bar'],
    ['/foo', '/foo', '/xyz', '/xyz'],
    ['/foo/', '/foo', '/xyz', '/xyz/'],
    ['/foo/bar', '/foo', '', '/bar'],
    ['/foo/', '/foo', '', '/'],
    ['/foo', '/foo', '', '/'],
    ['/foo/', '/foo', '/', '/'],
    ['/foo', '/foo', '/', '/'],
    ['/foo/bar', '/', '/xyz', '/xyz/foo/bar'],
  ] as const;
  for (const [path, from, value, want] of table) {
    const one = match(prefix(from));
    t.equal(changePath(path, { kind: 'prefix', value }, one), want, `${path} ${from} ${value}`);
  }
  t.equal(changePath('/a/b', { kind: 'full', value: '/x' }, match({})), '/x');
  t.equal(changePath('/a/b', { kind: 'full', value: 'x' }, match({})), '/x');
  t.equal(changePath('/a/b', undefined, match({})), '/a/b');
});

function redirect(fields: Partial<RedirectFilter>): RedirectFilter {
  return {
    kind: 'redirect',
    scheme: '',
    hostname: '',
    port: 0,
    path: undefined,
    status: 302,
    ...fields,
  };
}

test('answerOf() redirects with scheme, host, port and path as told, and the query kept', async (t) => {
  const at = (fields: Partial<RedirectFilter>, arrival: Parameters<typeof answerOf>[2] = HTTP) => {
    const filters = [redirect(fields)];
    const router = new Router(
      frontend([route('r', [{ matches: [match(prefix('/old'))], filters }])]),
    );
    const ask = request('/old/x?a=1', {}, { host: 'cart.shop' });
    const found = router.find(ask, '');
    const answer = found && answerOf(found, ask, arrival);
    return `${answer?.status} ${answer?.headers.map((one) => one.join(' ')).join()}`;
  };
  t.equal(at({}), '302 location http://cart.shop/old/x?a=1');
  t.equal(
    at({ status: 307 }, { scheme: 'http', port: 8080 }),
    '307 location http://cart.shop:8080/old/x?a=1',
  );
  t.equal(
    at({ scheme: 'https' }, { scheme: 'http', port: 8080 }),
    '302 location https://cart.shop/old/x?a=1',
  );
  t.equal(at({ scheme: 'https', port: 8443 }), '302 location https://cart.shop:8443/old/x?a=1');
  t.equal(at({ scheme: 'http', port: 443 }), '302 location http://cart.shop:443/old/x?a=1');
  t.equal(
    at({ hostname: 'new.example' }, { scheme: 'https', port: 443 }),
    '302 location https://new.example/old/x?a=1',
  );
  t.equal(
    at({ path: { kind: 'prefix', value: '/new' }, status: 301 }),
    '301 location http://cart.shop/new/x?a=1',
  );
  t.equal(at({ path: { kind: 'full', value: '/' } }), '302 location http://cart.shop/?a=1');
});

test('applyHeaderFilters() sets, adds and removes, and never what frames a message', async (t) => {
  const headers = HeaderList.of([
    ['x-a', '1'],
    ['x-b', '1'],
    ['x-a', '2'],
    ['x-c', '1'],
    ['set-cookie', 'a=1'],
    ['content-length', '5'],
    ['cookie', 'a=1'],
    ['cookie', 'b=2'],
  ]);
  t.equal(headers.get('x-a'), '1, 2');
  t.equal(headers.get('cookie'), 'a=1; b=2');
  applyHeaderFilters(headers, [
    {
      kind: 'request-headers',
      set: [
        { name: 'x-a', value: '3' },
        { name: 'content-length', value: '0' },
        { name: 'plumbline-source', value: 'spiffe://x' },
      ],
      add: [
        { name: 'x-b', value: '2' },
        { name: 'x-new', value: '1' },
        { name: 'set-cookie', value: 'b=2' },
      ],
      remove: ['x-c', 'transfer-encoding', 'content-length'],
    },
  ]);
  t.strictSame(
    [...headers],
    [
      ['x-a', '3'],
      ['x-b', '1,2'],
      ['set-cookie', 'a=1'],
      ['content-length', '5'],
      ['cookie', 'a=1'],
      ['cookie', 'b=2'],
      ['x-new', '1'],
      ['set-cookie', 'b=2'],
    ],
  );
});

test('pickBackend() divides by weight, and sends nothing to weight 0', async (t) => {
  const rules = (...weights: readonly number[]) =>
    compileRule(
      route('r', []),
      rule('r', { backends: weights.map((weight, i) => backend(`b${i}`, weight)) }),
    );
  const counts = (weights: readonly number[]): Record<string, number> => {
    const compiled = rules(...weights);
    const picked: Record<string, number> = {};
    for (let i = 0; i < 1000; i += 1) {
      const name = pickBackend(compiled, i / 1000)?.backend.name ?? 'none';
      picked[name] = (picked[name] ?? 0) + 1;
    }
    return picked;
  };
  t.strictSame(counts([1]), { b0: 1000 });
  t.strictSame(counts([7, 0, 3]), { b0: 700, b2: 300 });
  t.strictSame(counts([0, 1]), { b1: 1000 });
  t.strictSame(counts([1, 1, 1, 1]), { b0: 250, b1: 250, b2: 250, b3: 250 });
  t.strictSame(counts([0, 0]), { none: 1000 });
  t.strictSame(counts([]), { none: 1000 });
});

test('isMirrored() mirrors the share asked for, and nothing to a backend that is not there', async (t) => {
  const mirror = { kind: 'mirror', service: 'shop/m', port: 80, share: 0.25, name: 'm' } as const;
  t.equal(
    Array.from({ length: 100 }, (_, i) => isMirrored(mirror, i / 100)).filter(Boolean).length,
    25,
  );
  t.notOk(isMirrored({ ...mirror, service: '' }, 0));
  t.ok(isMirrored({ ...mirror, share: 1 }, 0.999));
  t.notOk(isMirrored({ ...mirror, share: 0 }, 0));
});

function cors(fields: Partial<CorsFilter>): CorsFilter {
  return {
    kind: 'cors',
    allowOrigins: ['https://shop.example'],
    allowCredentials: false,
    allowMethods: ['PUT'],
    allowHeaders: ['x-a', 'x-b'],
    exposeHeaders: ['x-c', '*'],
    maxAgeSeconds: 5,
    ...fields,
  };
}

const statuses: number[] = [];

function preflight(filter: CorsFilter, origin: string): Record<string, string> {
  const router = new Router(frontend([route('r', [{ filters: [filter] }])]));
  const ask = request(
    '/',
    {
      origin,
      'access-control-request-method': 'PATCH',
      'access-control-request-headers': 'x-z',
    },
    { method: 'OPTIONS' },
  );
  const found = router.find(ask, '');
  const answer = found && answerOf(found, ask, HTTP);
  statuses.push(answer?.status ?? 0);
  return Object.fromEntries(answer?.headers ?? []);
}

test('answerOf() answers a preflight with what is allowed', async (t) => {
  t.strictSame(preflight(cors({}), 'https://shop.example'), {
    'access-control-allow-origin': 'https://shop.example',
    vary: 'Origin',
    'access-control-allow-methods': 'PUT',
    'access-control-allow-headers': 'x-a, x-b',
    'access-control-max-age': '5',
  });
  t.strictSame(preflight(cors({}), 'https://evil.example'), { vary: 'Origin' });
  t.strictSame(
    preflight(
      cors({
        allowOrigins: ['*'],
        allowCredentials: true,
        allowMethods: ['*'],
        allowHeaders: ['*'],
      }),
      'https://any.example',
    ),
    {
      'access-control-allow-origin': 'https://any.example',
      'access-control-allow-credentials': 'true',
      vary: 'Origin',
      'access-control-allow-methods': 'PATCH',
      'access-control-allow-headers': 'x-z',
      'access-control-max-age': '5',
    },
  );
  t.strictSame(
    preflight(cors({ allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: [] }), 'http://x'),
    {
      'access-control-allow-origin': '*',
      'access-control-allow-methods': '*',
      'access-control-max-age': '5',
    },
  );
  t.ok(statuses.every((status) => status === 204));
  t.notOk(isPreflight(request('/', { origin: 'http://x' }, { method: 'OPTIONS' })));
  t.notOk(isPreflight(request('/', { origin: 'http://x', 'access-control-request-method': 'X' })));
});

test('corsHeaders() names the origin only when it is allowed', async (t) => {
  const allowed = (wanted: string, origin: string): boolean =>
    corsHeaders(cors({ allowOrigins: [wanted] }), origin).some(
      ([name]) => name === 'access-control-allow-origin',
    );
  t.ok(allowed('https://*.example', 'https://a.b.example'));
  t.notOk(allowed('https://*.example', 'https://example'));
  t.notOk(allowed('https://*.example', 'http://a.example'));
  t.notOk(allowed('https://*.example', 'https://a.example:8443'));
  t.ok(allowed('https://a.example:443', 'https://a.example'));
  t.ok(allowed('http://*', 'http://anything'));
  t.notOk(allowed('https://a.example', 'https://a.example.evil'));
  t.notOk(allowed('https://a.example', 'null'));
  t.equal(parseOrigin('ftp://x'), undefined);
  t.strictSame(corsHeaders(cors({}), undefined), [['vary', 'Origin']]);
  t.strictSame(corsHeaders(cors({ allowOrigins: ['*'], allowCredentials: true }), 'http://x'), [
    ['access-control-allow-origin', 'http://x'],
    ['access-control-allow-credentials', 'true'],
    ['vary', 'Origin'],
    ['access-control-expose-headers', 'x-c'],
  ]);
});

test('a rule without a redirect or preflight has no answer of its own', async (t) => {
  const router = new Router(frontend([route('r', [{ matches: [match(exact('/'))] }])]));
  const found = router.find(request('/'), '');
  t.ok(found);
  if (found !== undefined) t.equal(answerOf(found, request('/'), HTTP), undefined);
  t.equal(FAILURES['no-route'].http, 404);
  t.equal(FAILURES['no-route'].grpc, 12);
});

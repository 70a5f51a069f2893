import { test } from 'tap';
import type { RouteMatch } from '#common/mesh/route.ts';
import { ANY_CALL } from '#common/mesh/route.ts';
import { Router } from '../../../waypoint/routing/router.ts';
import { queryValue } from '../../../waypoint/routing/request.ts';
import type { RequestView } from '../../../waypoint/routing/request.ts';
import { oneOf, randomFrom } from '../../helpers/mesh-random.ts';
import { exact, frontend, match, pattern, prefix, request, route } from '../../helpers/routes.ts';

function found(router: Router, ask: RequestView, namespace = ''): string {
  return router.find(ask, namespace)?.rule.name.replace(/^\w+\/shop\//, '') ?? 'none';
}

test('Router.find() matches paths by whole segments, exactly, and by pattern', async (t) => {
  const router = new Router(
    frontend([
      route('paths', [
        { matches: [match(exact('/exact'))] },
        { matches: [match(prefix('/api/'))] },
        { matches: [match(prefix('/api/v1'))] },
        { matches: [match(pattern('/p/[0-9]+'))] },
      ]),
    ]),
  );
  const table: readonly (readonly [path: string, rule: string])[] = [
    ['/exact', 'paths rules[0]'],
    ['/exact/', 'none'],
    ['/Exact', 'none'],
    ['/api', 'paths rules[1]'],
    ['/api/', 'paths rules[1]'],
    ['/api/v2', 'paths rules[1]'],
    ['/apix', 'none'],
    ['/api/v1', 'paths rules[2]'],
    ['/api/v1/', 'paths rules[2]'],
    ['/api/v1/x/y/z', 'paths rules[2]'],
    ['/api/v11', 'paths rules[1]'],
    ['/p/42', 'paths rules[3]'],
    ['/p/42x', 'none'],
    ['/', 'none'],
    ['*', 'none'],
  ];
  for (const [path, rule] of table) t.equal(found(router, request(path)), rule, path);
});

test('Router.find() takes the match of highest precedence, as the Gateway API orders them', async (t) => {
  const header = (name: string, value = '1') => ({ name, kind: 'exact' as const, value });
  const router = new Router(
    frontend([
      route('old', [
        { matches: [match({})] },
        { matches: [match({ ...prefix('/a'), headers: [header('h')] })] },
        { matches: [match({ ...prefix('/a'), headers: [header('h'), header('g')] })] },
        { matches: [match({ ...prefix('/a'), query: [header('q')] })] },
        { matches: [match({ ...prefix('/a'), method: 'POST' })] },
        { matches: [match(pattern('/a/.*'))] },
        { matches: [match(exact('/a/b'))] },
        { matches: [match(prefix('/tie'))] },
        { matches: [match(prefix('/tie'))] },
      ]),
      route('young', [{ matches: [match(prefix('/tie')), match(exact('/only'))] }]),
    ]),
  );
  t.equal(found(router, request('/other')), 'old rules[0]');
  t.equal(found(router, request('/a')), 'old rules[0]');
  t.equal(found(router, request('/a', { h: '1' })), 'old rules[1]');
  t.equal(found(router, request('/a', { h: '1', g: '1' })), 'old rules[2]', 'more headers first');
  t.equal(found(router, request('/a?q=1', { h: '1' })), 'old rules[1]', 'headers before query');
  t.equal(found(router, request('/a?q=1')), 'old rules[3]');
  t.equal(
    found(router, request('/a', { h: '1', g: '1' }, { method: 'POST' })),
    'old rules[4]',
    'a method before headers',
  );
  t.equal(found(router, request('/a/x', { h: '1', g: '1' })), 'old rules[5]', 'patterns first');
  t.equal(found(router, request('/a/b')), 'old rules[6]', 'exact paths before patterns');
  t.equal(found(router, request('/tie')), 'old rules[7]', 'the first rule, the older route');
  t.equal(found(router, request('/only')), 'young rules[0]');
});

test('Router.find() matches headers and query parameters exactly or by pattern', async (t) => {
  const router = new Router(
    frontend([
      route('values', [
        {
          matches: [
            match({ headers: [{ name: 'x-v', kind: 'exact', value: 'a' }] }),
            match({ headers: [{ name: 'x-v', kind: 'pattern', value: 'b+' }] }),
          ],
        },
        { matches: [match({ query: [{ name: 'q', kind: 'exact', value: 'a b' }] })] },
        { matches: [match({ query: [{ name: 'p', kind: 'pattern', value: '[0-9]*' }] })] },
      ]),
    ]),
  );
  t.equal(found(router, request('/', { 'x-v': 'a' })), 'values rules[0]');
  t.equal(found(router, request('/', { 'x-v': 'bbb' })), 'values rules[0]');
  t.equal(found(router, request('/', { 'x-v': 'A' })), 'none');
  t.equal(found(router, request('/?q=a%20b')), 'values rules[1]');
  t.equal(found(router, request('/?x=1&q=a+b&q=c')), 'values rules[1]');
  t.equal(found(router, request('/?q=c&q=a+b')), 'none', 'the first value of a name counts');
  t.equal(found(router, request('/?p')), 'values rules[2]');
  t.equal(found(router, request('/?pp=1')), 'none');
});

test('queryValue() finds encoded names and takes broken percent signs as they are', async (t) => {
  t.equal(queryValue('%71=1', 'q'), '1');
  t.equal(queryValue('q=%zz', 'q'), '%zz');
  t.equal(queryValue('', 'q'), undefined);
  t.equal(queryValue('a=1&&q=2', 'q'), '2');
  t.equal(queryValue('q=', 'q'), '');
  t.equal(queryValue('__proto__=1', '__proto__'), '1');
});

test('Router gives callers of a namespace its consumer routes instead of the producer’s', async (t) => {
  const only = route('consumer', [{ matches: [match(exact('/only'))] }]);
  const consumers = [{ namespace: 'bank', protocol: 'http', routes: [only] } as const];
  const router = new Router(frontend([route('producer', [{}])], { consumers }));
  t.equal(found(router, request('/only'), 'bank'), 'consumer rules[0]');
  t.equal(found(router, request('/x'), 'bank'), 'none', 'not merged with the producer’s');
  t.equal(found(router, request('/x'), 'shop'), 'producer rules[0]');
  t.equal(found(router, request('/x')), 'producer rules[0]', 'a caller without identity');
  const alone = new Router(frontend([], { producer: undefined, consumers }));
  t.equal(alone.protocol('bank'), 'http');
  t.equal(alone.protocol('shop'), undefined, 'others go to the service itself');
  t.equal(alone.find(request('/only'), 'shop'), undefined);
});

test('Router.find() looks at host names of a gateway, the longest first, and falls back', async (t) => {
  const routes = [
    route('any', [{ matches: [match(prefix('/any'))] }]),
    route('wild', [{ matches: [match(prefix('/wild'))] }], ['*.example']),
    route('wilder', [{ matches: [match(prefix('/'))] }], ['*.a.example']),
    route('one', [{ matches: [match(prefix('/one'))] }], ['x.a.example', 'x.a.example']),
  ];
  const gateway = new Router(frontend(routes, { kind: 'gateway' }));
  const at = (host: string, path: string): string => found(gateway, request(path, {}, { host }));
  t.equal(at('x.a.example', '/one'), 'one rules[0]');
  t.equal(at('x.a.example', '/two'), 'wilder rules[0]');
  t.equal(at('y.a.example', '/one'), 'wilder rules[0]');
  t.equal(at('b.example', '/wild'), 'wild rules[0]');
  t.equal(at('b.example', '/any'), 'any rules[0]');
  t.equal(at('example', '/wild'), 'none', 'a wildcard takes at least one label');
  t.equal(at('.example', '/wild'), 'none');
  t.equal(at('other', '/any'), 'any rules[0]');
  const service = new Router(frontend(routes));
  t.equal(
    found(service, request('/one', {}, { host: 'whatever' })),
    'one rules[0]',
    'at a service none counts',
  );
});

test('Router.find() matches calls of gRPC by service and method', async (t) => {
  const call = (service: string, method: string, kind: 'exact' | 'pattern' = 'exact') =>
    match({ grpc: { kind, service, method } });
  const routes = [
    route('calls', [
      { matches: [call('shop.Cart', 'Add')] },
      { matches: [call('shop.Cart', '')] },
      { matches: [call('', 'Add')] },
      { matches: [call('bank\\..*', '', 'pattern')] },
      { matches: [match({ grpc: ANY_CALL, headers: [{ name: 'x', kind: 'exact', value: '1' }] })] },
    ]),
  ];
  const router = new Router(frontend([], { producer: { protocol: 'grpc', routes } }));
  const at = (path: string, headers = {}): string => found(router, request(path, headers));
  t.equal(at('/shop.Cart/Add'), 'calls rules[0]');
  t.equal(at('/shop.Cart/Del'), 'calls rules[1]');
  t.equal(at('/other.X/Add'), 'calls rules[2]');
  t.equal(at('/bank.Teller/Pay'), 'calls rules[3]');
  t.equal(at('/other.X/Y', { x: '1' }), 'calls rules[4]');
  t.equal(at('/other.X/Y'), 'none');
  t.equal(at('/nocall', { x: '1' }), 'none', 'no path of gRPC');
});

test('Router.find() tells calls of gRPC from other requests at a listener that has both', async (t) => {
  const grpc = { kind: 'exact', service: 'shop.Cart', method: '' } as const;
  const routes = [
    route('calls', [{ matches: [match({ grpc })] }], ['a.example']),
    route('paths', [{ matches: [match(prefix('/'))] }], ['a.example']),
  ];
  const router = new Router(frontend(routes, { kind: 'gateway' }));
  const at = (headers: Readonly<Record<string, string>>): string =>
    found(router, request('/shop.Cart/Add', headers, { host: 'a.example' }));
  t.equal(at({ 'content-type': 'application/grpc+proto' }), 'calls rules[0]');
  t.equal(at({ 'content-type': 'text/plain' }), 'paths rules[0]');
});

test('Router.find() takes the oldest route of tcp, and of tls the one for the name', async (t) => {
  const routes = [
    route('old', [{}], ['a.example']),
    route('young', [{}], ['a.example', '*.example']),
  ];
  const at = (protocol: 'tls' | 'tcp', host: string): string => {
    const router = new Router(frontend([], { producer: { protocol, routes } }));
    return found(router, request('', {}, { host }));
  };
  t.equal(at('tcp', ''), 'old rules[0]');
  t.equal(at('tls', 'a.example'), 'old rules[0]');
  t.equal(at('tls', 'b.example'), 'young rules[0]');
  t.equal(at('tls', 'other'), 'none');
});

test('Router.find() says what a plain search in order of precedence says', async (t) => {
  const random = randomFrom(11);
  const paths = ['/', '/a', '/a/b', '/a/b/c', '/b', '/ab', '/a/'] as const;
  const some = (names: readonly [string, ...string[]], most: number) =>
    Array.from({ length: Math.floor(random() * most) }, () => ({
      name: oneOf(random, names),
      kind: 'exact' as const,
      value: oneOf(random, ['1', '2']),
    })).filter((one, i, all) => all.findIndex(({ name }) => name === one.name) === i);
  const randomMatch = (): RouteMatch =>
    match({
      path: { kind: oneOf(random, ['exact', 'prefix']), value: oneOf(random, paths) },
      method: oneOf(random, ['', '', 'POST']),
      headers: some(['h', 'g'], 3),
      query: some(['q', 'p'], 2),
    });
  let hits = 0;
  for (let round = 0; round < 200; round += 1) {
    const matches = Array.from({ length: 1 + Math.floor(random() * 30) }, randomMatch);
    const router = new Router(
      frontend([
        route(
          'r',
          matches.map((one) => ({ matches: [one] })),
        ),
      ]),
    );
    for (let i = 0; i < 30; i += 1) {
      const query = random() < 0.5 ? `?q=${oneOf(random, ['1', '2'])}` : '';
      const headers = random() < 0.5 ? { h: oneOf(random, ['1', '2']) } : { g: '1', h: '1' };
      const method = oneOf(random, ['GET', 'POST']);
      const ask = request(`${oneOf(random, paths)}${query}`, headers, { method });
      const want = plainly(matches, ask);
      if (want !== -1) hits += 1;
      const got = router.find(ask, '')?.rule.rule.name ?? 'rules[-1]';
      if (got !== `rules[${want}]`)
        t.fail(`${JSON.stringify(matches)} ${ask.path}: ${got}, not ${want}`);
    }
  }
  t.ok(hits > 3000, `${hits} requests found a rule`);
});

/** The place of the match that wins, by the words of the specification. */
function plainly(matches: readonly RouteMatch[], ask: RequestView): number {
  const bare = ({ value }: RouteMatch['path']): string => value.replace(/\/$/, '');
  const isIn = ({ path }: RouteMatch): boolean =>
    path.kind === 'exact'
      ? ask.path === path.value
      : ask.path === bare(path) || ask.path.startsWith(`${bare(path)}/`);
  const fits = (one: RouteMatch): boolean =>
    isIn(one) &&
    (one.method === '' || one.method === ask.method) &&
    one.headers.every(({ name, value }) => ask.header(name) === value) &&
    one.query.every(({ name, value }) => queryValue(ask.query, name) === value);
  const rank = (one: RouteMatch): number[] => [
    one.path.kind === 'exact' ? 1 : 0,
    one.path.kind === 'exact' ? 0 : bare(one.path).length,
    one.method === '' ? 0 : 1,
    one.headers.length,
    one.query.length,
  ];
  let best = -1;
  for (const [i, one] of matches.entries()) {
    if (!fits(one)) continue;
    const old = matches[best];
    const differs = old === undefined ? [1] : rank(one).map((n, j) => n - (rank(old)[j] ?? 0));
    if ((differs.find((n) => n !== 0) ?? 0) > 0) best = i;
  }
  return best;
}

import { test } from 'tap';
import { explainCall } from '../../../common/decide/explain-call.ts';
import { HttpAuthorizer } from '../../../common/decide/http-authorize.ts';
import type { HttpCall } from '../../../common/decide/http-authorize.ts';
import { identityOf } from '../../../common/identity.ts';
import type { HttpClause, HttpMatch, HttpPolicy } from '../../../common/mesh/http-policy.ts';

const CART = 'Service/shop/cart';

function policy(
  name: string,
  action: HttpPolicy['action'],
  rules: readonly (readonly HttpMatch[])[],
  more: Partial<HttpPolicy> = {},
): HttpPolicy {
  return {
    key: `http-authorization/shop/${name}`,
    name,
    namespace: 'shop',
    targets: [CART],
    action,
    provider: action === 'custom' ? 'opa' : '',
    dryRun: false,
    // Each match is a clause of its own, so they are AND-ed.
    rules: rules.map((matches, i) => ({
      name: `rules[${i}]`,
      clauses: matches.map((match): HttpClause => ({ matches: [match] })),
    })),
    ...more,
  };
}

function call(
  more: Partial<HttpCall> & { readonly headers?: Record<string, string> } = {},
): HttpCall {
  const { headers = {}, ...rest } = more;
  return {
    connection: {
      identity: identityOf('cluster.local', 'shop', 'web'),
      sourceAddress: '10.64.0.1',
      destinationAddress: '10.64.0.2',
      destinationPort: 8080,
    },
    method: 'GET',
    host: 'cart.shop',
    path: '/items',
    remoteAddress: '192.0.2.7',
    token: undefined,
    header: (name) => headers[name],
    ...rest,
  };
}

function authorizer(...policies: readonly HttpPolicy[]): HttpAuthorizer {
  const made = new HttpAuthorizer();
  made.apply(policies, []);
  return made;
}

function allows(match: HttpMatch, asked: HttpCall): boolean {
  return authorizer(policy('p', 'allow', [[match]])).authorize([CART], asked).allow;
}

test('HttpAuthorizer matches each field of a request, and what it excludes', async (t) => {
  const token = {
    issuer: 'https://id',
    subject: 'ann',
    claims: { aud: ['shop', 'bank'], role: 'admin', realm: { groups: ['a', 'b'] }, level: 3 },
  };
  const yes = call({ headers: { 'x-team': 'red' }, token });
  const claim = (path: readonly string[], ...values: readonly string[]) => ({
    claims: [{ path, values }],
  });
  const table: readonly (readonly [name: string, match: HttpMatch, want: boolean])[] = [
    ['a method', { methods: ['GET'] }, true],
    ['another method', { methods: ['POST'] }, false],
    ['a method that is excluded', { notMethods: ['GET'] }, false],
    ['a host in any case', { hosts: ['CART.shop'] }, true],
    ['a host by its end', { hosts: ['*.shop'] }, true],
    ['a host that is excluded', { notHosts: ['cart*'] }, false],
    ['a path', { paths: ['/items'] }, true],
    ['a path by its beginning', { paths: ['/it*'] }, true],
    ['a path by its end', { paths: ['*ems'] }, true],
    ['any path', { paths: ['*'] }, true],
    ['a template', { paths: ['/{*}'] }, true],
    ['a longer template', { paths: ['/items/{*}'] }, false],
    ['the rest of a path', { paths: ['/items/{**}'] }, true],
    ['a path that is excluded', { notPaths: ['/items'] }, false],
    ['a header', { headers: [{ name: 'x-team', values: ['blue', 'red'] }] }, true],
    ['a header by presence', { headers: [{ name: 'x-team', values: ['*'] }] }, true],
    ['a header that is not there', { headers: [{ name: 'x-none', values: ['*'] }] }, false],
    [
      'an excluded header that is not there',
      { notHeaders: [{ name: 'x-none', values: ['*'] }] },
      true,
    ],
    ['an excluded header', { notHeaders: [{ name: 'x-team', values: ['red'] }] }, false],
    ['a remote address', { remoteIps: ['192.0.2.0/24'] }, true],
    ['another remote address', { remoteIps: ['10.0.0.0/8'] }, false],
    ['a request principal', { requestPrincipals: ['https://id/ann'] }, true],
    ['any request principal', { requestPrincipals: ['*'] }, true],
    ['an excluded principal', { notRequestPrincipals: ['https://id/*'] }, false],
    ['a claim', claim(['role'], 'admin'), true],
    ['a claim of a list', claim(['aud'], 'bank'), true],
    ['a claim further in', claim(['realm', 'groups'], 'b'), true],
    ['a claim that is a number', claim(['level'], '3'), true],
    ['a claim that is not there', claim(['__proto__'], '*'), false],
    ['a claim that is an object', claim(['realm'], '*'), false],
    ['an excluded claim', { notClaims: [{ path: ['role'], values: ['admin'] }] }, false],
    ['fields of the connection beside it', { methods: ['GET'], namespaces: ['shop'] }, true],
    ['another namespace', { methods: ['GET'], namespaces: ['bank'] }, false],
    ['a port', { destinationPorts: [{ from: 80, to: 80 }] }, false],
    ['nothing at all', {}, false],
  ];
  for (const [name, match, want] of table) t.equal(allows(match, yes), want, name);
  t.notOk(allows({ requestPrincipals: ['*'] }, call()), 'without a token there is no principal');
  t.ok(allows({ notRequestPrincipals: ['*'] }, call()));
  t.notOk(allows(claim(['aud'], '*'), call()));
});

test('HttpAuthorizer refuses by DENY first, then for want of an ALLOW', async (t) => {
  const judged = authorizer(
    policy('reads', 'allow', [[{ methods: ['GET'] }]]),
    policy('no-admin', 'deny', [[{ paths: ['/admin/{**}'] }, { notNamespaces: ['ops'] }]]),
  );
  t.match(judged.authorize([CART], call()), {
    allow: true,
    policy: 'http-authorization/shop/reads',
    rule: 'rules[0]',
  });
  t.match(judged.authorize([CART], call({ path: '/admin/users' })), {
    allow: false,
    policy: 'http-authorization/shop/no-admin',
    rule: 'rules[0]',
    reason: 'http-authorization/shop/no-admin rules[0] denies it',
  });
  t.match(judged.authorize([CART], call({ method: 'POST' })), {
    allow: false,
    policy: 'http-authorization/shop/reads',
    rule: '',
    nearMiss: 'http-authorization/shop/reads rules[0]: the method is POST, not GET',
  });
  t.match(judged.authorize(['Service/shop/other'], call({ method: 'POST' })), {
    allow: true,
    policy: '',
    reason: 'no policy on requests restricts it',
  });
  t.notOk(
    authorizer(policy('none', 'allow', [])).authorize([CART], call()).allow,
    'an ALLOW without rules allows nothing',
  );
});

test('HttpAuthorizer judges by the policies of the service and of the waypoint together', async (t) => {
  const judged = authorizer(
    policy('service', 'allow', [[{ methods: ['GET'] }]]),
    policy('waypoint', 'deny', [[{ hosts: ['cart.shop'] }]], { targets: ['Gateway/shop/wp'] }),
  );
  t.ok(judged.authorize([CART], call()).allow);
  t.notOk(judged.authorize([CART, 'Gateway/shop/wp'], call()).allow);
});

test('HttpAuthorizer lets a path that reads two ways pass only if both may', async (t) => {
  const judged = authorizer(policy('no-admin', 'deny', [[{ paths: ['/admin*'] }]]));
  t.ok(judged.authorize([CART], call({ path: '/public%2Fx' })).allow);
  t.notOk(judged.authorize([CART], call({ path: '/public%2F..%2Fadmin' })).allow);
  t.notOk(judged.authorize([CART], call({ path: '/..%5Cadmin' })).allow);
  const only = authorizer(policy('public', 'allow', [[{ paths: ['/public*'] }]]));
  t.ok(only.authorize([CART], call({ path: '/public%2Fx' })).allow);
  t.notOk(only.authorize([CART], call({ path: '/public%2F..%2Fadmin' })).allow);
  const custom = authorizer(policy('ask', 'custom', [[{ paths: ['/admin*'] }]]));
  t.strictSame(
    custom.authorize([CART], call({ path: '/x%2F..%2Fadmin' })).ask.map(({ provider }) => provider),
    ['opa'],
  );
});

test('HttpAuthorizer asks authorisers where CUSTOM matches, and only what nobody refused', async (t) => {
  const judged = authorizer(
    policy('b', 'custom', [[{ paths: ['/a*'] }]]),
    policy('a', 'custom', [[{ methods: ['GET'] }], [{ paths: ['/a*'] }]], { provider: 'other' }),
    policy('d', 'deny', [[{ paths: ['/a/no'] }]]),
  );
  const asked = (path: string) =>
    judged.authorize([CART], call({ path })).ask.map(({ provider, rule }) => `${provider} ${rule}`);
  t.strictSame(asked('/a'), ['other rules[0]', 'opa rules[0]']);
  t.strictSame(asked('/x'), ['other rules[0]']);
  t.strictSame(asked('/a/no'), []);
});

test('HttpAuthorizer tells of AUDIT and dry-run policies and never goes by them', async (t) => {
  const judged = authorizer(
    policy('audit', 'audit', [[{ methods: ['GET'] }]]),
    policy('try-deny', 'deny', [[{ methods: ['GET'] }]], { dryRun: true }),
    policy('try-allow', 'allow', [[{ methods: ['PUT'] }]], { dryRun: true }),
  );
  const verdict = judged.authorize([CART], call());
  t.ok(verdict.allow);
  t.strictSame(
    verdict.audits.map((one) => [one.policy.split('/')[2], one.rule, one.wouldDeny]),
    [
      ['audit', 'rules[0]', false],
      ['try-deny', 'rules[0]', true],
      ['try-allow', '', true],
    ],
  );
  const put = judged.authorize([CART], call({ method: 'PUT' }));
  t.strictSame(
    put.audits.map((one) => [one.policy.split('/')[2], one.wouldDeny]),
    [['try-allow', false]],
  );
});

test('HttpAuthorizer.apply() replaces and removes policies', async (t) => {
  const judged = authorizer(policy('p', 'deny', [[{ methods: ['GET'] }]]));
  t.notOk(judged.authorize([CART], call()).allow);
  judged.apply([policy('p', 'deny', [[{ methods: ['PUT'] }]])], []);
  t.ok(judged.authorize([CART], call()).allow);
  t.notOk(judged.authorize([CART], call({ method: 'PUT' })).allow);
  judged.apply([], ['http-authorization/shop/p', 'http-authorization/shop/unknown']);
  t.ok(judged.authorize([CART], call({ method: 'PUT' })).allow);
});

test('explainCall() says who asked for what, the verdict, and what came nearest', async (t) => {
  const token = { issuer: 'https://id', subject: 'ann', claims: {} };
  const judged = authorizer(
    policy('p', 'allow', [
      [{ methods: ['PUT'], claims: [{ path: ['role'], values: ['admin'] }] }],
      [{ hosts: ['cart.shop'], headers: [{ name: 'x-key', values: ['secret'] }] }],
    ]),
    policy('ask', 'custom', [[{ methods: ['PUT'] }]]),
  );
  const refused = explainCall(judged, [CART], call({ token, headers: { 'x-key': 'wrong' } }));
  t.equal(refused.outcome, 'refuse');
  t.strictSame(
    refused.steps.map(({ reason }) => reason),
    [
      'GET cart.shop/items of spiffe://cluster.local/ns/shop/sa/web with a token of https://id/ann',
      'no ALLOW rule for requests matches; nearest: http-authorization/shop/p rules[1]: the header x-key has not the wanted value',
    ],
  );
  t.notMatch(JSON.stringify(refused), /secret|wrong/, 'values of headers are not shown');
  const asked = explainCall(
    judged,
    [CART],
    call({ method: 'PUT', token: { ...token, claims: { role: 'admin' } } }),
  );
  t.equal(asked.outcome, 'ask');
  t.match(asked.steps.at(-1)?.reason, 'opa must say yes as well');
  const clear = call();
  const open = explainCall(new HttpAuthorizer(), [CART], {
    ...clear,
    connection: { ...clear.connection, identity: undefined },
  });
  t.equal(open.outcome, 'allow');
  t.match(open.steps[0]?.reason, 'of 10.64.0.1, in clear with no token');
});

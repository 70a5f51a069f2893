/** Access policy by example: layers, fail closed, near misses, audits. */
import { test } from 'tap';
import { authorize } from '#common/decide/authorize.ts';
import type { Connection, Verdict } from '#common/decide/authorize.ts';
import { identityOf } from '#common/identity.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import type { Match, Policy } from '#common/mesh/policy.ts';
import { delta, policy, ruleOf, strict, viewOf, workload } from '../../helpers/mesh-build.ts';

const web = identityOf('cluster.local', 'shop', 'web');

function from(over: Partial<Connection> = {}): Connection {
  return {
    identity: web,
    sourceAddress: '10.64.0.9',
    destinationAddress: '10.64.0.1',
    destinationPort: 8080,
    ...over,
  };
}

function judge(
  policies: readonly Policy[],
  connection = from(),
  pod = workload('cart', { policies: selectors(policies) }),
): Verdict {
  return authorize(viewOf({ policies, workloads: [pod] }), pod, connection);
}

function selectors(policies: readonly Policy[]): string[] {
  return policies.filter(({ scope }) => scope === 'selector').map(({ key }) => key);
}

test('authorize() allows everybody when no policy applies', async (t) => {
  t.strictSame(judge([]), {
    allow: true,
    policy: '',
    rule: '',
    reason: 'no policy restricts it',
    nearMiss: '',
    audits: [],
  });
});

test('authorize() takes an identity for granted nowhere: STRICT refuses clear text', async (t) => {
  for (const scope of ['mesh', 'namespace', 'selector'] as const) {
    const policies = [strict({ scope })];
    t.match(judge(policies, from({ identity: undefined })), {
      allow: false,
      policy: 'peer-authentication/shop/strict',
      rule: 'rules[0]',
    });
    t.ok(judge(policies).allow);
  }
});

test('authorize() keeps policies to their namespace and to those who list them', async (t) => {
  const elsewhere = workload('cart', { namespace: 'bank' });
  const inClear = from({ identity: undefined });
  t.ok(judge([strict()], inClear, elsewhere).allow);
  t.ok(judge([strict({ scope: 'selector' })], inClear, elsewhere).allow);
  t.notOk(judge([strict({ scope: 'mesh' })], inClear, elsewhere).allow);
});

test('authorize() needs every layer to let a connection pass', async (t) => {
  const allowWeb = policy('web', ruleOf({ serviceAccounts: ['shop/web'] }));
  const network = policy('net', {
    layer: 'network-policy',
    ...ruleOf({ sourceIps: ['10.64.0.0/16'] }),
  });
  t.match(judge([allowWeb, network]), { allow: true, policy: 'authorization/shop/web' });
  t.match(judge([allowWeb, network], from({ sourceAddress: '10.65.0.1' })), {
    allow: false,
    policy: 'network-policy/shop/net',
    rule: '',
    nearMiss: 'network-policy/shop/net rules[0]: the source is 10.65.0.1, not 10.64.0.0/16',
  });
  t.notOk(judge([allowWeb, network, strict()], from({ identity: undefined })).allow);
});

test('authorize() lets a DENY win over any ALLOW, and names the least key', async (t) => {
  const policies = [
    policy('allow-all'),
    policy('z-deny', {
      action: 'deny',
      ...ruleOf({ destinationPorts: [{ from: 8080, to: 8080 }] }),
    }),
    policy('a-deny', { action: 'deny', ...ruleOf({ namespaces: ['sh*'] }) }),
  ];
  for (const order of [policies, policies.toReversed()]) {
    t.match(judge(order), { allow: false, policy: 'authorization/shop/a-deny', nearMiss: '' });
  }
});

test('an ALLOW without rules allows nothing, and is named', async (t) => {
  t.match(judge([policy('nothing', { rules: [] })]), {
    allow: false,
    policy: 'authorization/shop/nothing',
    rule: '',
    nearMiss: '',
  });
});

test('authorize() refuses until every listed policy is known', async (t) => {
  const pod = workload('cart', { policies: ['authorization/shop/late'] });
  const view = viewOf({ workloads: [pod] });
  const subject = view.workload(pod.uid) ?? pod;
  t.match(authorize(view, subject, from()), { allow: false, policy: 'authorization/shop/late' });
  const late = policy('late', { scope: 'selector' });
  view.apply(packUpdate(delta({ policies: [late] }, 2)));
  t.match(authorize(view, subject, from()), { allow: true, policy: late.key });
  view.apply(packUpdate(delta({ removed: { policies: [late.key] } }, 3)));
  t.notOk(authorize(view, subject, from()).allow);
});

test('authorize() judges by the policies of this moment', async (t) => {
  const view = viewOf({ policies: [policy('p', ruleOf({ namespaces: ['shop'] }))] });
  const pod = workload('cart');
  t.ok(authorize(view, pod, from()).allow);
  const stricter = policy('p', ruleOf({ namespaces: ['bank'] }));
  view.apply(packUpdate(delta({ policies: [stricter] }, 2)));
  t.notOk(authorize(view, pod, from()).allow);
  const moved = { ...stricter, scope: 'mesh', action: 'deny' } as const;
  view.apply(packUpdate(delta({ policies: [moved] }, 3)));
  t.ok(authorize(view, pod, from()).allow);
  const bank = identityOf('cluster.local', 'bank', 'till');
  t.notOk(authorize(view, pod, from({ identity: bank })).allow);
  view.apply(packUpdate(delta({ removed: { policies: [moved.key] } }, 4)));
  t.ok(authorize(view, pod, from({ identity: bank })).allow);
});

const allowed: readonly (readonly [Match, boolean, string])[] = [
  [{ principals: ['cluster.local/ns/shop/sa/web'] }, true, 'exact principal'],
  [{ principals: ['spiffe://cluster.local/ns/shop/sa/web'] }, false, 'no scheme in principals'],
  [{ principals: ['cluster.local/ns/shop/*'] }, true, 'prefix'],
  [{ principals: ['*/sa/web'] }, true, 'suffix'],
  [{ principals: ['*'] }, true, 'presence'],
  [{ principals: ['cluster.local/ns/shop/sa/we'] }, false, 'no part of a principal'],
  [{ principals: ['cluster?local/ns/shop/sa/web'] }, false, 'a dot is a dot'],
  [{ namespaces: ['shop', 'x'] }, true, 'one of the values'],
  [{ namespaces: ['sho'] }, false, 'no part of a namespace'],
  [{ namespaces: ['shop'], notPrincipals: ['*/sa/web'] }, false, 'fields are AND-ed'],
  [{ notNamespaces: ['shop'] }, false, 'excluded'],
  [{ notNamespaces: ['bank'] }, true, 'not excluded'],
  [{ serviceAccounts: ['shop/web'] }, true, 'account'],
  [{ serviceAccounts: ['shop/w*'] }, false, 'accounts are exact'],
  [{ sourceIps: ['10.64.0.9'] }, true, 'address'],
  [{ sourceIps: ['0.0.0.0/0'] }, true, 'all of IPv4'],
  [{ sourceIps: ['::/0'] }, false, 'IPv6 holds no IPv4'],
  [{ notSourceIps: ['::/0'] }, true, 'nor excludes it'],
  [{ destinationIps: ['10.64.0.0/30'] }, true, 'destination'],
  [{ destinationPorts: [{ from: 8000, to: 8080 }] }, true, 'range'],
  [{ destinationPorts: [{ from: 8081, to: 9000 }] }, false, 'beside the range'],
  [{ notDestinationPorts: [{ from: 8080, to: 8080 }] }, false, 'excluded port'],
  [{}, false, 'no field matches nothing'],
  [{ namespaces: [] }, false, 'an empty field is none'],
];

for (const [match, allow, what] of allowed) {
  test(`an ALLOW of ${JSON.stringify(match)} ${allow ? 'allows' : 'refuses'}: ${what}`, async (t) => {
    t.equal(judge([policy('p', ruleOf(match))]).allow, allow);
    const deny = policy('p', { action: 'deny', ...ruleOf(match) });
    t.equal(judge([deny]).allow, !allow, 'and the other way round for DENY');
  });
}

test('without an identity only exclusions and addresses match', async (t) => {
  const inClear = from({ identity: undefined });
  const matches = (match: Match): boolean => judge([policy('p', ruleOf(match))], inClear).allow;
  t.notOk(matches({ principals: ['*'] }));
  t.notOk(matches({ namespaces: ['*'] }));
  t.notOk(matches({ serviceAccounts: ['undefined/undefined'] }));
  t.ok(matches({ notPrincipals: ['*'] }));
  t.ok(matches({ notNamespaces: ['shop'] }));
  t.ok(matches({ sourceIps: ['10.64.0.9'] }));
});

test('clauses are AND-ed, their matches OR-ed, and an empty clause passes', async (t) => {
  const rule = (...clauses: Match[][]): Policy =>
    policy('p', { rules: [{ name: 'r', clauses: clauses.map((matches) => ({ matches })) }] });
  const [yes, no] = [{ namespaces: ['shop'] }, { namespaces: ['bank'] }];
  t.ok(judge([rule([yes, no], [no, yes])]).allow);
  t.notOk(judge([rule([yes, no], [no])]).allow);
  t.ok(judge([rule([])]).allow);
  t.ok(judge([rule()]).allow);
  t.notOk(judge([rule([], [{}])]).allow);
});

test('the near miss is the rule that misses least, said in words', async (t) => {
  const policies = [
    policy('far', ruleOf({ namespaces: ['bank'] }, { destinationPorts: [{ from: 1, to: 99 }] })),
    policy(
      'near',
      ruleOf(
        { serviceAccounts: ['shop/web'] },
        {
          destinationPorts: [
            { from: 80, to: 80 },
            { from: 90, to: 99 },
          ],
        },
      ),
    ),
  ];
  t.match(judge(policies), {
    policy: 'authorization/shop/near',
    nearMiss: 'authorization/shop/near rules[0]: the port is 8080, not 80, 90-99',
  });
  const names = policy('names', ruleOf({ principals: ['a', 'b', 'c', 'd', 'e'] }));
  t.equal(
    judge([names]).nearMiss,
    'authorization/shop/names rules[0]: the principal is cluster.local/ns/shop/sa/web, not a, b, c or 2 more',
  );
  t.equal(
    judge([names], from({ identity: undefined })).nearMiss,
    'authorization/shop/names rules[0]: there is no identity, and the principal must be a, b, c or 2 more',
  );
  const except = policy('except', ruleOf({ notNamespaces: ['shop'] }));
  t.equal(
    judge([except]).nearMiss,
    'authorization/shop/except rules[0]: the namespace is shop, and must not be shop',
  );
});

test('AUDIT is told and changes nothing', async (t) => {
  const audit = policy('watch', { action: 'audit', ...ruleOf({ namespaces: ['shop'] }) });
  t.match(judge([audit]), {
    allow: true,
    policy: '',
    audits: [{ policy: audit.key, rule: 'rules[0]', wouldDeny: false }],
  });
  t.strictSame(judge([audit], from({ identity: undefined })).audits, []);
});

test('dry-run policies are told with what they would do, together', async (t) => {
  const dry = { dryRun: true };
  const denying = policy('deny', { ...dry, action: 'deny', ...ruleOf({ namespaces: ['shop'] }) });
  t.match(judge([denying]), { allow: true, audits: [{ policy: denying.key, wouldDeny: true }] });

  const [one, other] = [
    policy('one', { ...dry, ...ruleOf({ serviceAccounts: ['shop/web'] }) }),
    policy('other', { ...dry, ...ruleOf({ serviceAccounts: ['shop/cron'] }) }),
  ];
  t.strictSame(judge([one, other]).audits, [
    { policy: one.key, rule: 'rules[0]', wouldDeny: false },
  ]);
  t.strictSame(judge([other]), {
    allow: true,
    policy: '',
    rule: '',
    reason: 'no policy restricts it',
    nearMiss: '',
    audits: [{ policy: other.key, rule: '', wouldDeny: true }],
  });
  t.strictSame(judge([other, policy('real')]).audits, [], 'an enforced ALLOW would still allow it');
});

test('a verdict carries a bounded number of audits', async (t) => {
  const many = Array.from({ length: 40 }, (_, i) => policy(`p${i}`, { action: 'audit' }));
  t.equal(judge(many).audits.length, 16);
});

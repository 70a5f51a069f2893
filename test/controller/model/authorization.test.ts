import { test } from 'tap';
import { buildAuthorization } from '../../../controller/model/authorization.ts';
import { DEFAULT_MODEL_OPTIONS } from '../../../controller/model/diff.ts';
import type { AuthorizationRule } from '../../../controller/model/objects.ts';
import { authorization } from '../../helpers/mesh-objects.ts';

function compile(
  action: 'ALLOW' | 'DENY' | 'AUDIT',
  rule: Partial<AuthorizationRule>,
): ReturnType<typeof buildAuthorization> {
  const full = { from: undefined, to: undefined, when: undefined, ...rule };
  return buildAuthorization(authorization('p', { action, rules: [full] }), DEFAULT_MODEL_OPTIONS);
}

test('buildAuthorization() maps each field of a connection to its match', async (t) => {
  const { policy, findings } = compile('ALLOW', {
    from: [
      {
        principals: ['cluster.local/ns/shop/sa/cart', '*'],
        notNamespaces: ['evil*'],
        serviceAccounts: ['cart', 'bank/teller'],
        ipBlocks: ['10.0.0.0/8'],
        notIpBlocks: ['10.1.0.0/16'],
      },
      { namespaces: ['bank'] },
    ],
    to: [{ ports: ['80', '443'], notPorts: ['81'] }],
    when: [
      { key: 'source.ip', values: ['fd00::/8'], notValues: ['fd01::/16'] },
      { key: 'destination.port', values: ['80'], notValues: [] },
      { key: 'destination.ip', values: [], notValues: ['10.0.0.9'] },
    ],
  });
  t.strictSame(findings, []);
  t.strictSame(policy.rules, [
    {
      name: 'rules[0]',
      clauses: [
        {
          matches: [
            {
              principals: ['cluster.local/ns/shop/sa/cart', '*'],
              notNamespaces: ['evil*'],
              serviceAccounts: ['shop/cart', 'bank/teller'],
              sourceIps: ['10.0.0.0/8'],
              notSourceIps: ['10.1.0.0/16'],
            },
            { namespaces: ['bank'] },
          ],
        },
        {
          matches: [
            {
              destinationPorts: [
                { from: 80, to: 80 },
                { from: 443, to: 443 },
              ],
              notDestinationPorts: [{ from: 81, to: 81 }],
            },
          ],
        },
        { matches: [{ sourceIps: ['fd00::/8'], notSourceIps: ['fd01::/16'] }] },
        { matches: [{ destinationPorts: [{ from: 80, to: 80 }] }] },
        { matches: [{ notDestinationIps: ['10.0.0.9'] }] },
      ],
    },
  ]);
});

test('buildAuthorization() tells scopes apart', async (t) => {
  const scope = (selector: Record<string, string> | undefined, namespace: string): string =>
    buildAuthorization(authorization('p', { selector, meta: { namespace } }), DEFAULT_MODEL_OPTIONS)
      .policy.scope;
  t.equal(scope(undefined, 'shop'), 'namespace');
  t.equal(scope({}, 'shop'), 'namespace');
  t.equal(scope({ app: 'cart' }, 'shop'), 'selector');
  t.equal(scope(undefined, 'plumbline-system'), 'mesh');
  t.equal(scope({ app: 'cart' }, 'plumbline-system'), 'selector');
});

test('buildAuthorization() never lets a part that needs HTTP weaken a policy', async (t) => {
  const from = [{ namespaces: ['bank'] }];
  const bank = { matches: [{ namespaces: ['bank'] }] };
  const http = [{ methods: ['GET'] }];
  const port80 = { matches: [{ destinationPorts: [{ from: 80, to: 80 }] }] };
  const header = { key: 'request.headers[x]', values: ['1'], notValues: [] };
  const table: readonly {
    name: string;
    action: 'ALLOW' | 'DENY' | 'AUDIT';
    rule: Partial<AuthorizationRule>;
    /** Undefined: the rule is left out. */
    clauses: unknown;
    refused: boolean;
  }[] = [
    {
      name: 'allow',
      action: 'ALLOW',
      rule: { from, to: http },
      clauses: undefined,
      refused: false,
    },
    {
      name: 'allow with a header',
      action: 'ALLOW',
      rule: { from, when: [header] },
      clauses: undefined,
      refused: false,
    },
    { name: 'deny', action: 'DENY', rule: { from, to: http }, clauses: [bank], refused: false },
    { name: 'audit', action: 'AUDIT', rule: { from, to: http }, clauses: [bank], refused: false },
    {
      name: 'deny of port and path',
      action: 'DENY',
      rule: { to: [{ ports: ['80'], paths: ['/admin'] }] },
      clauses: [port80],
      refused: false,
    },
    {
      // Either operation may match, and one of them is now always true.
      name: 'deny of port or path',
      action: 'DENY',
      rule: { from, to: [{ ports: ['80'] }, { paths: ['/admin'] }] },
      clauses: [bank],
      refused: false,
    },
    {
      name: 'deny of a path alone',
      action: 'DENY',
      rule: { to: [{ paths: ['/admin'] }] },
      clauses: [],
      refused: true,
    },
    {
      name: 'deny of a header alone',
      action: 'DENY',
      rule: { when: [header] },
      clauses: [],
      refused: true,
    },
  ];
  for (const { name, action, rule, clauses, refused } of table) {
    const { policy, findings } = compile(action, rule);
    t.strictSame(policy.rules[0]?.clauses, clauses, name);
    t.equal(findings.length, 1, name);
    t.equal(findings[0]?.refused, refused, name);
  }
});

test('buildAuthorization() names the field that needs HTTP', async (t) => {
  const { findings } = compile('DENY', { from: [{ namespaces: ['a'] }], to: [{ paths: ['/x'] }] });
  t.match(findings, [{ field: 'spec.rules[0].to[0].operation.paths' }]);
});

test('buildAuthorization() keeps empty rules, empty lists and dry run as they are', async (t) => {
  const build = (more: Parameters<typeof authorization>[1]): unknown => {
    const { policy } = buildAuthorization(authorization('p', more), DEFAULT_MODEL_OPTIONS);
    return { rules: policy.rules, dryRun: policy.dryRun, action: policy.action };
  };
  t.strictSame(build({}), { rules: [], dryRun: false, action: 'allow' });
  const blank = { from: undefined, to: undefined, when: undefined };
  t.strictSame(
    build({
      action: 'AUDIT',
      rules: [blank],
      meta: { annotations: { 'istio.io/dry-run': 'true' } },
    }),
    { rules: [{ name: 'rules[0]', clauses: [] }], dryRun: true, action: 'audit' },
  );
  // An ALLOW source that says nothing matches nothing; it must not turn into "anybody".
  t.strictSame(build({ rules: [{ ...blank, from: [{}] }] }), {
    rules: [{ name: 'rules[0]', clauses: [{ matches: [{}] }] }],
    dryRun: false,
    action: 'allow',
  });
});

test('buildAuthorization() reads cluster.local as the trust domain of this mesh', async (t) => {
  const { policy } = buildAuthorization(
    authorization('p', {
      rules: [
        {
          from: [{ principals: ['cluster.local/ns/a/sa/b', 'other/ns/a/sa/b', '*/sa/b'] }],
          to: undefined,
          when: undefined,
        },
      ],
    }),
    { ...DEFAULT_MODEL_OPTIONS, trustDomain: 'corp.example' },
  );
  t.strictSame(policy.rules[0]?.clauses[0]?.matches[0]?.principals, [
    'corp.example/ns/a/sa/b',
    'other/ns/a/sa/b',
    '*/sa/b',
  ]);
});

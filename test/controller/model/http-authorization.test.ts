import { test } from 'tap';
import { DEFAULT_MODEL_OPTIONS } from '../../../controller/model/diff.ts';
import { buildHttpAuthorization } from '../../../controller/model/http-authorization.ts';
import type { TargetedAuthorization } from '../../../controller/model/http-authorization.ts';
import type { AuthorizationRule } from '../../../controller/model/objects.ts';
import { meta } from '../../helpers/mesh-objects.ts';

function compile(
  rule: Partial<AuthorizationRule>,
  more: Partial<TargetedAuthorization> = {},
): ReturnType<typeof buildHttpAuthorization> {
  return buildHttpAuthorization(
    {
      meta: meta('p'),
      action: 'ALLOW',
      provider: '',
      targets: ['Service/shop/cart'],
      rules: [{ from: undefined, to: undefined, when: undefined, ...rule }],
      ...more,
    },
    DEFAULT_MODEL_OPTIONS,
  );
}

test('buildHttpAuthorization() keeps every field of a request and of its connection', async (t) => {
  const { policy, findings } = compile({
    from: [
      { serviceAccounts: ['web'], requestPrincipals: ['*'], notRemoteIpBlocks: ['10.0.0.0/8'] },
      { principals: ['cluster.local/ns/a/sa/b'] },
    ],
    to: [{ methods: ['GET'], paths: ['/a/{*}'], notHosts: ['*.evil'], ports: ['80'] }],
    when: [
      { key: 'request.headers[X-Team]', values: ['red'], notValues: [] },
      { key: 'request.auth.claims[realm][groups]', values: ['a'], notValues: ['b'] },
      { key: 'request.auth.audiences', values: ['shop'], notValues: [] },
      { key: 'request.auth.presenter', values: ['app'], notValues: [] },
      { key: 'request.auth.principal', values: ['x/y'], notValues: [] },
      { key: 'remote.ip', values: ['192.0.2.1'], notValues: [] },
      { key: 'source.namespace', values: ['shop'], notValues: [] },
    ],
  });
  t.strictSame(findings, []);
  t.match(policy, {
    key: 'http-authorization/shop/p',
    action: 'allow',
    targets: ['Service/shop/cart'],
    dryRun: false,
  });
  t.strictSame(
    policy.rules[0]?.clauses.map(({ matches }) => matches),
    [
      [
        {
          serviceAccounts: ['shop/web'],
          requestPrincipals: ['*'],
          notRemoteIps: ['10.0.0.0/8'],
        },
        { principals: ['cluster.local/ns/a/sa/b'] },
      ],
      [
        {
          destinationPorts: [{ from: 80, to: 80 }],
          methods: ['GET'],
          paths: ['/a/{*}'],
          notHosts: ['*.evil'],
        },
      ],
      [{ headers: [{ name: 'x-team', values: ['red'] }], notHeaders: [] }],
      [
        {
          claims: [{ path: ['realm', 'groups'], values: ['a'] }],
          notClaims: [{ path: ['realm', 'groups'], values: ['b'] }],
        },
      ],
      [{ claims: [{ path: ['aud'], values: ['shop'] }], notClaims: [] }],
      [{ claims: [{ path: ['azp'], values: ['app'] }], notClaims: [] }],
      [{ requestPrincipals: ['x/y'], notRequestPrincipals: [] }],
      [{ remoteIps: ['192.0.2.1'], notRemoteIps: [] }],
      [{ namespaces: ['shop'] }],
    ],
  );
});

test('buildHttpAuthorization() voids an ALLOW rule and refuses a DENY that it cannot judge', async (t) => {
  const sni = { when: [{ key: 'connection.sni', values: ['a'], notValues: [] }] };
  const allow = compile(sni);
  t.strictSame(allow.policy.rules, []);
  t.match(allow.findings, [{ field: 'spec.rules[0].when[0].key', refused: false }]);
  const deny = compile(sni, { action: 'DENY' });
  t.match(deny.findings, [
    { message: '"connection.sni" is not seen by a waypoint', refused: true },
  ]);
  const template = compile({ to: [{ paths: ['/{id}'] }] });
  t.match(template.findings, [{ field: 'spec.rules[0].to[0].operation.paths', refused: false }]);
  t.strictSame(template.policy.rules, []);
});

test('buildHttpAuthorization() keeps the action, the provider and the dry run', async (t) => {
  const custom = compile({}, { action: 'CUSTOM', provider: 'opa' });
  t.match(custom.policy, { action: 'custom', provider: 'opa' });
  t.strictSame(custom.policy.rules[0]?.clauses, [], 'a rule that says nothing matches everything');
  const tried = compile(
    {},
    { meta: meta('p', { annotations: { 'plumbline.dev/dry-run': 'true' } }), action: 'AUDIT' },
  );
  t.match(tried.policy, { action: 'audit', dryRun: true });
});

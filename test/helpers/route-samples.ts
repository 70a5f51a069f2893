/** Routes, policies and token rules with every field set, as a waypoint may be told them. */
import type { HttpPolicy } from '#common/mesh/http-policy.ts';
import type { Frontend } from '#common/mesh/route.ts';
import { DEFAULT_TOKEN_PLACES } from '#common/mesh/token-rule.ts';
import type { TokenRule } from '#common/mesh/token-rule.ts';
import { backend, exact, frontend, match, pattern, prefix, route } from './routes.ts';

const headers = { set: [{ name: 'x-a', value: '1' }], add: [], remove: ['x-b'] } as const;

export const fullFrontend: Frontend = frontend(
  [
    route('all', [
      {
        matches: [
          match({
            ...prefix('/api'),
            method: 'POST',
            headers: [{ name: 'x-v', kind: 'exact', value: '2' }],
            query: [{ name: 'q', kind: 'pattern', value: '[0-9]+' }],
          }),
          match(pattern('/p/[a-z]+')),
          match(exact('/one')),
        ],
        filters: [
          { kind: 'request-headers', ...headers },
          { kind: 'response-headers', ...headers },
          { kind: 'rewrite', hostname: 'h', path: { kind: 'prefix', value: '/v2' } },
          { kind: 'mirror', service: 'shop/m', port: 80, share: 1 / 3, name: 'm' },
          {
            kind: 'cors',
            allowOrigins: ['https://*.example'],
            allowCredentials: true,
            allowMethods: ['GET'],
            allowHeaders: ['*'],
            exposeHeaders: [],
            maxAgeSeconds: 5,
          },
        ],
        backends: [
          backend('a', 9, { filters: [{ kind: 'request-headers', ...headers }] }),
          backend('b', 1),
        ],
        timeouts: { requestMs: 1000, backendRequestMs: 500 },
        retry: { codes: [503], attempts: 2, backoffMs: 25 },
        persistence: {
          kind: 'cookie',
          name: 'stay',
          isPermanent: true,
          absoluteTimeoutMs: 1000,
          idleTimeoutMs: 0,
        },
      },
      {
        filters: [
          {
            kind: 'redirect',
            scheme: 'https',
            hostname: '',
            port: 0,
            path: undefined,
            status: 301,
          },
        ],
      },
    ]),
  ],
  {
    consumers: [
      {
        namespace: 'bank',
        protocol: 'grpc',
        routes: [
          route('calls', [
            {
              matches: [
                match({ grpc: { kind: 'exact', service: 'shop.Cart', method: '' } }),
                match({ grpc: { kind: 'pattern', service: 'a.*', method: 'B' } }),
              ],
            },
          ]),
        ],
      },
    ],
  },
);

export const gatewayFrontend: Frontend = frontend([route('edge', [{}], ['a.example', '*.b'])], {
  key: 'gateway/shop/edge/web',
  kind: 'gateway',
});

export const emptyFrontend: Frontend = frontend([], { key: 'shop/x:80', producer: undefined });

export const fullPolicy: HttpPolicy = {
  key: 'http-authorization/shop/p',
  name: 'p',
  namespace: 'shop',
  targets: ['Service/shop/cart'],
  action: 'allow',
  provider: '',
  dryRun: false,
  rules: [
    {
      name: 'rules[0]',
      clauses: [
        {
          matches: [
            { methods: ['GET'], paths: ['/a/{*}'], hosts: ['*.shop'], namespaces: ['shop'] },
            { headers: [{ name: 'x-a', values: ['1'] }], remoteIps: ['10.0.0.0/8'] },
            { claims: [{ path: ['a', 'b'], values: ['*'] }], notRequestPrincipals: ['x/*'] },
          ],
        },
      ],
    },
  ],
};

export const fullTokenRule: TokenRule = {
  issuer: 'https://id',
  audiences: ['shop'],
  jwks: '{"keys":[]}',
  places: [...DEFAULT_TOKEN_PLACES, { kind: 'cookie', name: 'session' }],
  clockSkewMs: 60_000,
};

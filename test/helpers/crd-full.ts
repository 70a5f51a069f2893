/** Objects of our kinds that use, together, every field there is, and what the decoder says of an object. */
import { KINDS } from '../../controller/kube/schemas/kinds.ts';
import { formatPath } from '../../controller/kube/schema.ts';

export const CUSTOM_KINDS = [
  'AuthorizationPolicy',
  'PeerAuthentication',
  'ServiceEntry',
  'WorkloadEntry',
] as const;
export type CustomKind = (typeof CUSTOM_KINDS)[number];

export const PLURALS: Readonly<Record<CustomKind, string>> = {
  AuthorizationPolicy: 'authorizationpolicies',
  PeerAuthentication: 'peerauthentications',
  ServiceEntry: 'serviceentries',
  WorkloadEntry: 'workloadentries',
};

export interface CustomObject {
  readonly apiVersion: string;
  readonly kind: CustomKind;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec?: unknown;
}

export function custom(kind: CustomKind, spec: unknown, name = 'one'): CustomObject {
  const metadata = { name, namespace: 'default' };
  return { apiVersion: 'plumbline.dev/v1alpha1', kind, metadata, spec };
}

/** What the decoder finds wrong, as lines `path: message`. */
export function decoderSays(object: CustomObject): string[] {
  const found: string[] = [];
  const { apiVersion: _, kind, ...rest } = object;
  KINDS[kind].schema.read(rest, [], (path, message) => {
    found.push(`${formatPath(path)}: ${message}`);
  });
  return found;
}

const twins = (name: string, ...values: string[]): Record<string, string[]> => ({
  [name]: values,
  [`not${name.charAt(0).toUpperCase()}${name.slice(1)}`]: values,
});
export const matchLabels = { app: 'cart', 'example.com/tier': 'a', empty: '' };
const endpoint = {
  address: '192.0.2.7',
  ports: { http: 8080 },
  labels: matchLabels,
  serviceAccount: 'cart',
  locality: 'region/zone/subzone',
  weight: 3,
};

export const FULL: readonly CustomObject[] = [
  custom('AuthorizationPolicy', {
    selector: { matchLabels },
    action: 'ALLOW',
    rules: [
      {
        from: [
          {
            source: {
              ...twins('principals', 'cluster.local/ns/shop/sa/cart', '*', 'a*', '*a'),
              ...twins('namespaces', 'shop', 'shop-*', '*'),
              ...twins('serviceAccounts', 'shop/cart', 'cart'),
              ...twins(
                'ipBlocks',
                '10.0.0.0/8',
                '192.0.2.1',
                'fd00::/64',
                '::1',
                '::ffff:10.0.0.1',
              ),
              ...twins('remoteIpBlocks', '10.0.0.0/8'),
              ...twins('requestPrincipals', 'https://issuer/subject', '*'),
            },
          },
        ],
        to: [
          {
            operation: {
              ...twins('ports', '8080', '1', '65535'),
              ...twins('hosts', 'a.example', '*'),
              ...twins('methods', 'GET'),
              ...twins('paths', '/a/*'),
            },
          },
        ],
        when: [
          { key: 'source.ip', values: ['10.0.0.1'], notValues: ['10.0.0.2'] },
          { key: 'destination.port', values: ['80'] },
          { key: 'source.serviceAccount', values: ['shop/cart'] },
          { key: 'request.headers[x-a]', values: ['1'] },
          { key: 'request.auth.claims[a][b]', notValues: ['1'] },
        ],
      },
    ],
  }),
  custom('PeerAuthentication', {
    selector: { matchLabels },
    mtls: { mode: 'STRICT' },
    portLevelMtls: { '8080': { mode: 'DISABLE' }, '65535': { mode: 'PERMISSIVE' } },
  }),
  custom('ServiceEntry', {
    hosts: ['api.example', '*.example.com'],
    addresses: ['192.0.2.0/24', '2001:db8::1'],
    ports: [{ number: 443, name: 'https', protocol: 'TLS', targetPort: 8443 }],
    location: 'MESH_EXTERNAL',
    resolution: 'STATIC',
    endpoints: [endpoint, { address: '2001:db8::2' }],
    exportTo: ['.'],
    subjectAltNames: ['spiffe://cluster.local/ns/a/sa/b'],
  }),
  custom('ServiceEntry', {
    hosts: ['db.internal'],
    ports: [{ number: 5432, name: 'db' }],
    resolution: 'STATIC',
    workloadSelector: { labels: matchLabels },
  }),
  custom('WorkloadEntry', endpoint),
];

/** Inbound decisions I2 to I5 and P0, P1 of hbone.md sections 3.2 and 3.3. */
import { test } from 'tap';
import { inboundTarget, parseAuthority, plaintextTarget } from '#common/decide/inbound.ts';
import { service, viewOf, workload } from '../../helpers/mesh-build.ts';

const ports = [
  { name: 'http', port: 80, targetPort: 8080, appProtocol: '' },
  { name: 'named', port: 81, targetPort: 0, appProtocol: '' },
  { name: 'lost', port: 82, targetPort: 0, appProtocol: '' },
  { name: 'loop', port: 83, targetPort: 15_008, appProtocol: '' },
];
const cart = service('cart', { ports });
const other = service('other');
const pod = workload('cart-0', {
  addresses: ['10.64.0.1', 'fd00::1'],
  memberships: [{ service: cart.key, ports: [{ servicePort: 81, targetPort: 9090 }] }],
});
const view = viewOf({ services: [cart, other], workloads: [pod] });
const name = 'cart.shop.svc.cluster.local';

const rows: readonly (readonly [string, string, object])[] = [
  ['10.64.0.1:8080', '10.64.0.1', { kind: 'accept', port: 8080 }],
  ['[fd00::1]:8080', 'fd00::1', { kind: 'accept', port: 8080 }],
  ['[FD00:0::1]:8080', 'fd00::1', { kind: 'accept', port: 8080 }],
  ['[::ffff:10.64.0.1]:8080', '10.64.0.1', { kind: 'accept', port: 8080 }],
  ['10.64.0.2:8080', '10.64.0.1', { status: 400, code: 'DESTINATION_MISMATCH' }],
  ['[fd00::1]:8080', '10.64.0.1', { status: 400, code: 'DESTINATION_MISMATCH' }],
  ['127.0.0.1:8080', '10.64.0.1', { status: 400, code: 'DESTINATION_MISMATCH' }],
  ['10.64.0.1:15001', '10.64.0.1', { status: 503, code: 'LOOP_REFUSED' }],
  ['10.64.0.1:15006', '10.64.0.1', { status: 503, code: 'LOOP_REFUSED' }],
  ['10.64.0.1:15008', '10.64.0.1', { status: 503, code: 'LOOP_REFUSED' }],
  [`${name}:80`, '10.64.0.1', { kind: 'accept', port: 8080 }],
  [`${name.toUpperCase()}:80`, '10.64.0.1', { kind: 'accept', port: 8080 }],
  [`${name}:81`, '10.64.0.1', { kind: 'accept', port: 9090 }],
  [`${name}:82`, '10.64.0.1', { status: 503, code: 'NO_HEALTHY_ENDPOINT' }],
  [`${name}:83`, '10.64.0.1', { status: 503, code: 'LOOP_REFUSED' }],
  [`${name}:99`, '10.64.0.1', { status: 503, code: 'NO_HEALTHY_ENDPOINT' }],
  ['other.shop.svc.cluster.local:80', '10.64.0.1', { status: 503, code: 'NO_HEALTHY_ENDPOINT' }],
  ['nobody.example:80', '10.64.0.1', { status: 503, code: 'NO_HEALTHY_ENDPOINT' }],
  ['nonsense', '10.64.0.1', { status: 400, code: 'HBONE_PROTOCOL_ERROR' }],
];

for (const [authority, localAddress, wanted] of rows) {
  test(`inboundTarget() of ${authority} at ${localAddress}`, async (t) => {
    t.match(inboundTarget(view, pod, { authority, localAddress }), wanted);
  });
}

test('inboundTarget() refuses while the pod is not known, once the authority is read', async (t) => {
  const at = { authority: '10.64.0.1:80', localAddress: '10.64.0.1' };
  t.match(inboundTarget(view, undefined, at), { status: 503, code: 'UNKNOWN_SOURCE' });
  t.match(inboundTarget(view, undefined, { ...at, authority: '' }), { status: 400 });
});

test('plaintextTarget() takes any port but those of the agent', async (t) => {
  t.match(plaintextTarget(pod, 8080), { kind: 'accept', port: 8080 });
  for (const port of [15_001, 15_006, 15_008]) {
    t.match(plaintextTarget(pod, port), { kind: 'refuse', code: 'LOOP_REFUSED' });
    t.match(plaintextTarget(undefined, port), { code: 'LOOP_REFUSED' });
  }
  t.match(plaintextTarget(undefined, 80), { kind: 'refuse', code: 'UNKNOWN_SOURCE' });
});

test('parseAuthority() refuses what is neither address nor name with a port', async (t) => {
  const bad = [
    '',
    ':80',
    'a',
    'a:',
    'a:0',
    'a:065',
    'a:65536',
    'a:+80',
    'a:80 ',
    ' a:80',
    'a:80:90',
    'fd00::1:80',
    '[fd00::1]',
    '[fd00::1]80',
    '[10.0.0.1.1]:80',
    '[nonsense]:80',
    '[fd00::1%eth0]:80',
    '10.0.0.256:80',
    '010.0.0.1:80',
    '1.2.3:80',
    'a..b:80',
    '-a:80',
    'a/b:80',
    'user@a:80',
    `${'a'.repeat(64)}:80`,
    `${'a.'.repeat(130)}a:80`,
    'a\u0000b:80',
    'nämé:80',
  ];
  for (const text of bad) t.equal(parseAuthority(text), undefined, JSON.stringify(text));
  t.strictSame(parseAuthority('a_b.example:1'), {
    kind: 'hostname',
    hostname: 'a_b.example',
    port: 1,
  });
  t.strictSame(parseAuthority('1.2.3.4:65535'), {
    kind: 'address',
    address: '1.2.3.4',
    port: 65_535,
  });
});

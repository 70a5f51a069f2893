import { test } from 'tap';
import type { ModelDiff } from '../../../controller/model/diff.ts';
import { Model } from '../../../controller/model/model.ts';
import type { MeshObject, MtlsMode } from '../../../controller/model/objects.ts';
import { gone, namespace, peerAuthentication, pod, set } from '../../helpers/mesh-objects.ts';

const ROOT = 'plumbline-system';
const CART = pod('cart', '10.0.0.1', { meta: { labels: { app: 'cart' } } });
const PAY = pod('pay', '10.0.0.2', { meta: { labels: { app: 'pay' } } });

function world(...policies: MeshObject[]): { model: Model; diff: ModelDiff } {
  const model = new Model();
  return { model, diff: model.apply(set(namespace('shop'), CART, PAY, ...policies)) };
}

function listed(diff: ModelDiff, name: string): readonly string[] {
  return diff.workloads.find((workload) => workload.name === name)?.policies ?? [];
}

const mesh = (mode: MtlsMode): MeshObject =>
  peerAuthentication('mesh', mode, { meta: { namespace: ROOT } });
const space = (mode: MtlsMode): MeshObject => peerAuthentication('space', mode);
const own = (mode: MtlsMode, ports: Record<string, MtlsMode> = {}): MeshObject =>
  peerAuthentication('own', mode, { selector: { app: 'cart' }, portModes: ports });

test('PeerAuthentication of the narrowest scope decides, and UNSET asks the next', async (t) => {
  const MESH = [`peer-authentication/${ROOT}/mesh`];
  const SPACE = ['peer-authentication/shop/space'];
  const OWN = ['peer-authentication/shop/own'];
  const table: readonly (readonly [string, MeshObject[], string[]])[] = [
    ['nothing', [], []],
    ['mesh', [mesh('STRICT')], MESH],
    ['namespace over mesh', [mesh('STRICT'), space('STRICT')], SPACE],
    ['lax namespace', [mesh('STRICT'), space('PERMISSIVE')], []],
    ['DISABLE is lax', [mesh('STRICT'), space('DISABLE')], []],
    ['unset namespace', [mesh('STRICT'), space('UNSET')], MESH],
    ['own over namespace', [space('PERMISSIVE'), own('STRICT')], OWN],
    ['lax own', [space('STRICT'), own('PERMISSIVE')], []],
    ['unset own', [mesh('STRICT'), own('UNSET')], MESH],
    ['ports always count', [mesh('STRICT'), own('UNSET', { 8080: 'PERMISSIVE' })], OWN],
  ];
  for (const [name, policies, wanted] of table) {
    t.strictSame(listed(world(...policies).diff, 'cart'), wanted, name);
  }
});

test('PeerAuthentication with a selector leaves other workloads alone', async (t) => {
  const { diff } = world(own('STRICT'));
  t.strictSame(listed(diff, 'pay'), []);
});

test('the oldest PeerAuthentication of a scope wins, then the first by name', async (t) => {
  const old = peerAuthentication('z', 'STRICT', { meta: { createdMs: 1 } });
  const young = peerAuthentication('a', 'PERMISSIVE', { meta: { createdMs: 2 } });
  t.strictSame(listed(world(young, old).diff, 'pay'), ['peer-authentication/shop/z']);
  const b = peerAuthentication('b', 'STRICT');
  const a = peerAuthentication('a', 'PERMISSIVE');
  t.strictSame(listed(world(b, a).diff, 'pay'), []);
});

test('STRICT becomes a denial of whoever has no identity, port by port', async (t) => {
  const rules = (...policies: MeshObject[]): unknown =>
    world(...policies).diff.policies.find(({ name }) => name === 'own')?.rules;
  const noIdentity = { notPrincipals: ['*'] };
  const at = (port: number): { from: number; to: number } => ({ from: port, to: port });
  t.strictSame(rules(own('STRICT')), [{ name: 'mtls', clauses: [{ matches: [noIdentity] }] }]);
  t.strictSame(rules(own('STRICT', { 9000: 'DISABLE', 80: 'PERMISSIVE', 81: 'STRICT' })), [
    {
      name: 'mtls',
      clauses: [{ matches: [{ ...noIdentity, notDestinationPorts: [at(80), at(9000)] }] }],
    },
  ]);
  t.strictSame(rules(own('PERMISSIVE', { 443: 'STRICT' })), [
    {
      name: 'portLevelMtls',
      clauses: [{ matches: [{ ...noIdentity, destinationPorts: [at(443)] }] }],
    },
  ]);
  // Listed by its workloads, so it must exist although it forbids nothing.
  t.strictSame(rules(own('PERMISSIVE', { 443: 'PERMISSIVE' })), []);
  t.strictSame(rules(mesh('STRICT'), own('UNSET', { 443: 'PERMISSIVE' })), [
    { name: 'mtls', clauses: [{ matches: [{ ...noIdentity, notDestinationPorts: [at(443)] }] }] },
  ]);
});

test('a change of the mesh-wide mode reaches what inherits it', async (t) => {
  const { model } = world(mesh('PERMISSIVE'), own('UNSET', { 443: 'PERMISSIVE' }));
  const diff = model.apply(set(mesh('STRICT')));
  t.strictSame(listed(diff, 'pay'), [`peer-authentication/${ROOT}/mesh`]);
  t.match(
    diff.policies.find(({ name }) => name === 'own'),
    { rules: [{ name: 'mtls' }] },
  );
  const after = model.apply([gone(mesh('STRICT'))]);
  t.strictSame(after.removed.policies, [`peer-authentication/${ROOT}/mesh`]);
  t.match(after.workloads, [{ name: 'pay', policies: [] }]);
});

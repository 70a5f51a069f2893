import { test } from 'tap';
import type { CustomKind } from '../../../controller/kube/cluster-kinds.ts';
import {
  ServedKinds,
  type ServedKind,
  type ServedStep,
} from '../../../controller/kube/discovery.ts';
import { Union } from '../../../controller/kube/union.ts';
import type { MeshObject } from '../../../controller/model/objects.ts';
import { keyOf } from '../../../controller/model/objects.ts';
import { meta } from '../../helpers/mesh-objects.ts';

const GROUP = 'security.istio.io';
const custom: CustomKind = {
  kind: 'PeerAuthentication',
  group: GROUP,
  versions: ['v1', 'v1beta1'],
};

function served(version: string): ServedKind {
  return { custom, resource: { group: GROUP, version, plural: 'peerauthentications' } };
}

function spell({ begun, moved, ended }: ServedStep): string {
  const list = (kinds: readonly ServedKind[]): string =>
    kinds.map(({ resource }) => resource.version).join();
  return `begun ${list(begun)}; moved ${list(moved)}; ended ${list(ended)}`;
}

test('ServedKinds believes that a kind is gone when it is told so twice in a row', async (t) => {
  const kinds = new ServedKinds();
  const nothing = 'begun ; moved ; ended ';
  const table: [string, ServedKind[], string][] = [
    ['not installed', [], nothing],
    ['installed', [served('v1beta1')], 'begun v1beta1; moved ; ended '],
    ['still there', [served('v1beta1')], nothing],
    ['missing once', [], nothing],
    ['there again', [served('v1beta1')], nothing],
    ['a newer version', [served('v1')], 'begun ; moved v1; ended '],
    ['missing once', [], nothing],
    ['missing twice', [], 'begun ; moved ; ended v1'],
    ['installed again', [served('v1')], 'begun v1; moved ; ended '],
  ];
  for (const [name, found, step] of table) t.equal(spell(kinds.update(found)), step, name);
});

function policy(name: string, mode: 'STRICT' | 'DISABLE'): MeshObject {
  return { kind: 'PeerAuthentication', meta: meta(name), selector: undefined, mode, portModes: {} };
}

test('Union lets a name of two groups stand twice, ours under the name itself', async (t) => {
  const union = new Union('PeerAuthentication', ['plumbline.dev', GROUP]);
  const model = new Map<string, MeshObject>();
  const apply = (type: 'set' | 'delete', group: string, object: MeshObject): string[] => {
    for (const change of union.apply(group, { type, key: 'shop/p', object })) {
      if (change.type === 'set') model.set(keyOf(change.object.meta), change.object);
      else model.delete(keyOf(change));
    }
    return [...model].map(([key, one]) =>
      one.kind === 'PeerAuthentication' ? `${key} ${one.mode}` : key,
    );
  };
  const [theirs, ours] = [policy('p', 'STRICT'), policy('p', 'DISABLE')];
  t.strictSame(apply('set', GROUP, theirs), ['shop/p STRICT']);
  t.strictSame(apply('set', 'plumbline.dev', ours).toSorted(), [
    'shop/p DISABLE',
    `shop/p@${GROUP} STRICT`,
  ]);
  const changed = policy('p', 'DISABLE');
  t.strictSame(apply('set', GROUP, changed).toSorted(), [
    'shop/p DISABLE',
    `shop/p@${GROUP} DISABLE`,
  ]);
  t.strictSame(apply('delete', 'plumbline.dev', ours), ['shop/p DISABLE']);
  t.equal(model.get('shop/p'), changed, 'the one that is left has the name');
  t.strictSame(apply('delete', GROUP, changed), []);
});

import { test } from 'tap';
import type { PlacedPod } from '../../../controller/model/diff.ts';
import { Enrolled } from '../../../controller/status/enrolled.ts';
import { workload, localPod } from '../../helpers/mesh-build.ts';
import { namespace, pod } from '../../helpers/mesh-objects.ts';

const AMBIENT = { 'plumbline.dev/dataplane-mode': 'ambient' };
const none = { workloads: [], services: [], policies: [], pods: [] };

function placed(name: string, over: Partial<PlacedPod['pod']> = {}): PlacedPod {
  return { node: 'n1', pod: { ...localPod(workload(name)), podUid: `uid-${name}`, ...over } };
}

const set = (object: ReturnType<typeof namespace>) => ({ type: 'set' as const, object });

test('Enrolled.namespaces are the system namespace and those that are labelled', async (t) => {
  const enrolled = new Enrolled('plumbline-system');
  enrolled.objects([set(namespace('shop', AMBIENT)), set(namespace('web', {}))]);
  t.strictSame([...enrolled.namespaces], ['plumbline-system', 'shop']);
  enrolled.objects([set(namespace('shop', {})), set(namespace('web', AMBIENT))]);
  t.strictSame([...enrolled.namespaces], ['plumbline-system', 'web']);
  enrolled.objects([{ type: 'delete', kind: 'Namespace', namespace: '', name: 'web' }]);
  t.strictSame([...enrolled.namespaces], ['plumbline-system']);
});

test('Enrolled.pods() tells those that left from those that are gone', async (t) => {
  const enrolled = new Enrolled('plumbline-system');
  const moves = (pods: PlacedPod[], removed: string[] = []) =>
    enrolled.pods({ pods, removed: { ...none, pods: removed } }, 0);
  t.strictSame(moves([placed('cart'), placed('web')]), { left: [], gone: [] });
  t.match(moves([placed('cart', { enrolled: false, exemption: 'opted out' })]), {
    left: [{ name: 'cart', podUid: 'uid-cart' }],
    gone: [],
  });
  t.strictSame(moves([placed('web', { podUid: 'uid-web-2' })]), { left: [], gone: ['uid-web'] });
  t.strictSame(moves([], [placed('web').pod.uid]), { left: [], gone: ['uid-web-2'] });
});

test('Enrolled.has() knows the pods of the mesh, and no longer those that are on their way out', async (t) => {
  const enrolled = new Enrolled('plumbline-system');
  enrolled.pods({ pods: [placed('cart'), placed('web', { enrolled: false })], removed: none }, 0);
  t.ok(enrolled.has('uid-cart'));
  t.notOk(enrolled.has('uid-web'));
  enrolled.pods({ pods: [placed('cart', { enrolled: false })], removed: none }, 0);
  t.notOk(enrolled.has('uid-cart'));
  enrolled.pods({ pods: [placed('cart')], removed: none }, 0);
  t.ok(enrolled.has('uid-cart'));
  enrolled.pods({ pods: [placed('cart', { podUid: 'uid-cart-2' })], removed: none }, 0);
  t.strictSame(
    ['uid-cart', 'uid-cart-2'].map((uid) => enrolled.has(uid)),
    [false, true],
  );
  enrolled.pods({ pods: [], removed: { ...none, pods: [placed('cart').pod.uid] } }, 0);
  t.notOk(enrolled.has('uid-cart-2'));
});

test('Enrolled.complaints() names pods whose capture is not proven after a minute', async (t) => {
  const enrolled = new Enrolled('plumbline-system');
  enrolled.pods({ pods: [placed('cart'), placed('web')], removed: none }, 1000);
  enrolled.proven('uid-web', true);
  t.strictSame(enrolled.complaints(60_999), []);
  t.match(enrolled.complaints(61_000), [
    { pod: { name: 'cart' }, reason: 'NotCaptured', message: /agent run on node "n1"/ },
  ]);
  enrolled.proven('uid-cart', true);
  t.strictSame(enrolled.complaints(61_000), []);
  enrolled.proven('uid-web', false);
  t.match(enrolled.complaints(61_000), [{ pod: { name: 'web' } }]);
});

test('Enrolled.counts() are those of all replicas, by what is written down', async (t) => {
  const enrolled = new Enrolled('plumbline-system');
  enrolled.pods({ pods: [placed('cart'), placed('web')], removed: none }, 0);
  const read = (name: string, captured: boolean): void =>
    enrolled.objects([set({ ...pod(name, '10.0.0.1'), captured })]);
  t.strictSame(enrolled.counts(), { enrolled: 2, proven: 0 });
  read('cart', true);
  t.strictSame(enrolled.counts(), { enrolled: 2, proven: 1 }, 'another replica has heard so');
  enrolled.proven('uid-web', true);
  read('web', false);
  t.strictSame(enrolled.counts(), { enrolled: 2, proven: 2 }, 'what is heard here counts at once');
  read('web', true);
  read('web', false);
  t.strictSame(enrolled.counts(), { enrolled: 2, proven: 1 }, 'and what another writes later');
  enrolled.pods({ pods: [placed('cart', { enrolled: false })], removed: none }, 0);
  t.strictSame(enrolled.counts(), { enrolled: 1, proven: 0 });
});

test('Enrolled.complaints() names pods of the mesh that are never captured, unless they asked for it', async (t) => {
  const enrolled = new Enrolled('plumbline-system');
  const out = (name: string, exemption: string) => placed(name, { enrolled: false, exemption });
  const pods = [out('proxy', 'host network'), out('old', 'opted out')];
  enrolled.pods({ pods, removed: none }, 0);
  t.strictSame(enrolled.complaints(0), [], 'their namespace is not in the mesh');
  enrolled.objects([set(namespace(pods[0]?.pod.namespace ?? '', AMBIENT))]);
  t.match(enrolled.complaints(0), [
    { pod: { name: 'proxy' }, reason: 'NeverCaptured', message: /host network/ },
  ]);
});

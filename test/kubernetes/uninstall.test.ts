/** `kubectl delete -f manifests` leaves nothing behind: no rule, file, label, taint or finalizer. */
import { test } from 'tap';
import { eventually, get, kubectl, needsCluster as skip } from './cluster.ts';
import { AMBIENT, clusterObjects, install, NODES, proven, tracesOn } from './product.ts';
import { Scenario } from './scenario.ts';

interface Node {
  readonly metadata: {
    readonly labels: object;
    readonly annotations?: object;
    readonly finalizers?: readonly string[];
  };
  readonly spec: object;
}

test('the mesh is removed under load, and every node is as before', { skip }, async (t) => {
  await install();
  const it = await Scenario.start(t, 'removed', AMBIENT);
  await it.deploy('server', {
    run: ['server.ts'],
    node: 'n2',
    ports: [{ name: 'http', port: 8080 }],
  });
  await it.deploy('client', { run: ['load.ts', 'http://server:8080/', '50'], node: 'n1' });
  await proven(it);
  await it.loadGoesOn('client');
  for (const node of NODES) t.match(await tracesOn(node), /PLUMB/, 'there are traces before');

  await kubectl('delete', '-f', 'manifests', '--timeout=120s');
  for (const node of NODES)
    await eventually(`nothing is left on ${node}`, async () => {
      const traces = await tracesOn(node);
      if (traces.trim() !== '') throw new Error(traces);
    });
  for (const kind of [
    '/api/v1/namespaces',
    '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
    '/apis/rbac.authorization.k8s.io/v1/clusterroles',
    '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  ])
    t.strictSame(await clusterObjects(kind), [], kind);
  const { items } = await get<{ readonly items: readonly Node[] }>('/api/v1/nodes');
  for (const { metadata, spec } of items) {
    const { labels, annotations, finalizers } = metadata;
    const marks = JSON.stringify([labels, annotations, finalizers, spec]);
    t.match(marks, /kubernetes\.io\/hostname/, 'a node has labels');
    t.notMatch(marks, /plumbline/, 'none of ours, nor a taint, annotation or finalizer');
  }
  await it.loadGoesOn('client', 50);
  t.ok(await it.ask('client', 'http://server:8080/'), 'the pods talk without the mesh');
  await it.deploy('new', { run: ['server.ts'], node: 'n1' });
  t.ok(await it.ask('new', 'http://server:8080/'), 'and new ones start');
});

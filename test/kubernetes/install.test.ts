/** `kubectl apply -f manifests` on a cluster that knows nothing of us: once, and again without change. */
import { test } from 'tap';
import { get, kubectl, needsCluster as skip } from './cluster.ts';
import {
  agents,
  controllers,
  install,
  installed,
  NODES,
  nodesWithAgent,
  SYSTEM,
} from './product.ts';

test('the manifests install the mesh in one go, and again without change', { skip }, async (t) => {
  t.notMatch(await kubectl('get', 'crd', '-o', 'name'), /plumbline/, 'the cluster is a stock one');
  const said = await install();
  t.match(said, /deployment\S+plumbline-controller created/);
  t.equal((await controllers()).length, 2, 'two controllers');
  t.strictSame(await nodesWithAgent(), NODES, 'an agent on every node');

  const again = await kubectl('apply', '-f', 'manifests');
  t.strictSame(
    again.split('\n').filter((line) => line !== '' && !line.endsWith(' unchanged')),
    // Its patch always holds the selector, which kubectl is told to replace; that changes nothing.
    ['poddisruptionbudget.policy/plumbline-controller configured'],
    'nothing changes when it is applied again',
  );
  t.equal(await generation('deployments', 'apps/v1', 'plumbline-controller'), 1);
  t.equal(await generation('daemonsets', 'apps/v1', 'plumbline-node-agent'), 1);
  t.equal(await generation('poddisruptionbudgets', 'policy/v1', 'plumbline-controller'), 1);
  await installed();

  const trust = await get<{ readonly data: Record<string, string> }>(
    `/api/v1/namespaces/${SYSTEM}/configmaps/plumbline-root-cert`,
  );
  t.match(trust.data['root-cert.pem'], /BEGIN CERTIFICATE/, 'the trust bundle is published');
  for (const pod of [...(await agents()), ...(await controllers())])
    t.match(
      pod.status.containerStatuses,
      [{ ready: true, restartCount: 0 }],
      `${pod.metadata.name} started once and is ready`,
    );
});

/** How often the spec of an object was changed, its creation included. */
async function generation(kind: string, api: string, name: string): Promise<number> {
  const { metadata } = await get<{ readonly metadata: { readonly generation: number } }>(
    `/apis/${api}/namespaces/${SYSTEM}/${kind}/${name}`,
  );
  return metadata.generation;
}

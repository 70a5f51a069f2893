/** Who may talk to whom is decided by service account, and changes take hold of running pods. */
import { test } from 'tap';
import { apply, eventually, needsCluster as skip } from './cluster.ts';
import { accessLine, AMBIENT, install, proven } from './product.ts';
import { Scenario } from './scenario.ts';

test('a policy admits one service account and refuses another', { skip }, async (t) => {
  await install();
  const it = await Scenario.start(t, 'policy', AMBIENT);
  await it.deploy('server', {
    run: ['server.ts'],
    node: 'n2',
    ports: [{ name: 'http', port: 8080 }],
  });
  for (const name of ['friend', 'stranger'])
    await it.deploy(name, { run: ['server.ts'], node: 'n1' });
  await proven(it);
  const url = 'http://server:8080/';
  t.ok(await it.ask('friend', url));
  t.ok(await it.ask('stranger', url), 'without a policy everybody is admitted');

  await apply({
    apiVersion: 'plumbline.dev/v1alpha1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'friends', namespace: it.namespace },
    spec: {
      selector: { matchLabels: { app: 'server' } },
      action: 'ALLOW',
      rules: [{ from: [{ source: { principals: ['cluster.local/ns/policy/sa/friend'] } }] }],
    },
  });
  await eventually('the stranger is refused', async () => {
    await it.ask('stranger', url).then(
      () => {
        throw new Error('it was admitted');
      },
      () => undefined,
    );
  });
  t.ok(await it.ask('friend', url), 'the friend still is admitted');
  t.match(await accessLine('n2', { direction: 'inbound', code: 'POLICY_DENIED' }), {
    'src.identity': 'spiffe://cluster.local/ns/policy/sa/stranger',
    near_miss: /friend/,
  });
});

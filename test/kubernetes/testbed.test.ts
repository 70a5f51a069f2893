/** The test cluster itself, without a mesh: what the scenarios build on holds, and faults are real faults. */
import { test } from 'tap';
import { apiServerReady, eventually, get, needsCluster as skip } from './cluster.ts';
import { nodeReady, onNode, testbed, withoutApiServer } from './cluster.ts';
import { Scenario } from './scenario.ts';

const ports = [
  { name: 'http', port: 8080 },
  { name: 'tcp', port: 9090 },
];

test('pods talk across nodes, by address and by name; faults are felt', { skip }, async (t) => {
  const it = await Scenario.start(t, 'testbed');
  await it.deploy('server', { run: ['server.ts'], node: 'n2', ports });
  await it.deploy('client', {
    run: ['load.ts', 'http://server:8080/', '50', 'server:9090'],
    node: 'n1',
  });
  const [client, server] = [await it.pod('client'), await it.pod('server')];

  await t.test('requests and answers', async (step) => {
    for (const url of [
      `http://${server.status.podIP}:8080/`,
      'http://server:8080/',
      'tcp://server.testbed.svc.cluster.local:9090',
    ]) {
      const answer = await it.ask('client', url);
      step.match(answer, { pod: server.metadata.name, node: 'n2', from: client.status.podIP }, url);
    }
    await step.rejects(it.ask('client', 'http://server:8081/'), /FAILED/);
    step.match(await it.logs('server'), /^GET \/ from /m);
    step.match(await it.loadGoesOn('client'), { broken: 0 });
  });

  await t.test('a node that is cut off hears nothing until it is mended', async (step) => {
    await testbed('cut', 'n2');
    await step.rejects(it.ask('client', `http://${server.status.podIP}:8080/`), /FAILED/);
    await testbed('mend', 'n2');
    await eventually('the server is heard again', async () =>
      it.ask('client', `http://${server.status.podIP}:8080/`),
    );
  });

  await t.test('without the API server the pods go on', async (step) => {
    await withoutApiServer(async () => {
      await step.rejects(get('/api/v1/nodes'));
      const answer = await it.askOnNode(client, 'http://server:8080/');
      step.match(answer, { pod: server.metadata.name });
    });
    await apiServerReady();
    step.ok(await it.ask('client', 'http://server:8080/'));
  });

  await t.test(
    'a node that was stopped starts again, with its files and without its pods',
    async (step) => {
      await onNode('n2', 'touch', '/var/lib/kept', '/run/lost');
      await testbed('stop', 'n2');
      await testbed('start', 'n2');
      await nodeReady('n2', Date.now());
      step.equal(
        await onNode('n2', 'sh', '-c', 'ls /var/lib/kept /run/lost 2>/dev/null || true'),
        '/var/lib/kept\n',
      );
      const again = await eventually('the server runs again', async () =>
        it.ask('client', 'http://server:8080/'),
      );
      step.match(again, { pod: server.metadata.name, node: 'n2' });
    },
  );
});

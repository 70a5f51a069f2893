/** An application is restarted pod by pod under load: no request fails. */
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { isLong, kubectl, needsCluster as skip, rolledOut } from './cluster.ts';
import { AMBIENT, install, proven } from './product.ts';
import { Scenario } from './scenario.ts';

test('a rolling restart under load fails no request', { skip }, async (t) => {
  await install();
  const it = await Scenario.start(t, 'rolling', AMBIENT);
  await it.deploy('server', {
    run: ['server.ts'],
    replicas: 2,
    ports: [{ name: 'http', port: 8080 }],
    strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    container: {
      readinessProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1 },
      // As everywhere: endpoints are told of the end a moment after the pod is.
      lifecycle: { preStop: { sleep: { seconds: 3 } } },
    },
    pod: {
      terminationGracePeriodSeconds: 10,
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: 'kubernetes.io/hostname',
          whenUnsatisfiable: 'ScheduleAnyway',
          labelSelector: { matchLabels: { app: 'server' } },
        },
      ],
    },
  });
  await it.deploy('client', { run: ['load.ts', 'http://server:8080/', '20'], node: 'n1' });
  await proven(it);
  await it.loadGoesOn('client', 100);
  for (let round = 0; round < (isLong ? 5 : 2); round += 1) {
    const before = (await it.pods('server')).map(({ metadata }) => metadata.name);
    await kubectl('-n', it.namespace, 'rollout', 'restart', 'deployment/server');
    await rolledOut(it.namespace, 'deployment/server');
    const after = (await it.pods('server')).map(({ metadata }) => metadata.name);
    t.notOk(
      after.some((name) => before.includes(name)),
      'all pods are new',
    );
  }
  await delay(5000); // the last ones have ended by then
  const load = await it.loadGoesOn('client', 100);
  t.match(load, { failed: 0 }, `of ${load.ok} requests: ${JSON.stringify(load)}`);
});

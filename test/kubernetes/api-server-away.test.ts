/** The API server is away: what runs goes on, and what changed meanwhile is caught up with. */
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { isLong, kubectl, needsCluster as skip, withoutApiServer } from './cluster.ts';
import { AMBIENT, agents, controllers, install, proven } from './product.ts';
import { Scenario } from './scenario.ts';

const AWAY_MS = isLong ? 120_000 : 20_000;

test('traffic outlives an outage of the API server', { skip }, async (t) => {
  await install();
  const it = await Scenario.start(t, 'outage', AMBIENT);
  const ports = [
    { name: 'http', port: 8080 },
    { name: 'tcp', port: 9090 },
  ];
  await it.deploy('server', { run: ['server.ts'], node: 'n2', ports });
  await it.deploy('client', {
    run: ['load.ts', 'http://server:8080/', '50', 'server:9090'],
    node: 'n1',
  });
  await proven(it);
  const before = await it.loadGoesOn('client');
  const restarts = async (): Promise<number> =>
    [...(await agents()), ...(await controllers())]
      .flatMap(({ status }) => status.containerStatuses ?? [])
      .reduce((sum, { restartCount }) => sum + restartCount, 0);
  const restartsBefore = await restarts();
  await withoutApiServer(async () => {
    await t.rejects(kubectl('get', 'nodes'), 'it is away');
    await delay(AWAY_MS);
  });
  const after = await it.loadGoesOn('client', 50);
  t.ok(after.ok - before.ok > AWAY_MS / 100, `${after.ok - before.ok} requests meanwhile`);
  t.match(after, { failed: 0, broken: 0 }, JSON.stringify(after));
  t.equal(await restarts(), restartsBefore, 'no program of the mesh was restarted');

  await it.deploy('late', { run: ['server.ts'], node: 'n1' });
  await proven(it);
  t.ok(await it.ask('late', 'http://server:8080/'), 'a pod that came later is served');
});

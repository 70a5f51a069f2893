/**
 * The agents are replaced by a rolling update of their DaemonSet: no connection is lost, old or new.
 * The long form keeps one connection busy for ten minutes, over three rollouts.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { isLong, kubectl, needsCluster as skip } from './cluster.ts';
import {
  agents,
  AMBIENT,
  install,
  installed,
  NODES,
  nodesWithAgent,
  proven,
  SYSTEM,
} from './product.ts';
import { Scenario } from './scenario.ts';

const AGENT = 'daemonset/plumbline-node-agent';
const rollout = ['-n', SYSTEM, 'rollout'];

test('a rollout of the agents loses no connection', { skip }, async (t) => {
  await install();
  const it = await Scenario.start(t, 'upgrade', AMBIENT);
  const ports = [
    { name: 'http', port: 8080 },
    { name: 'tcp', port: 9090 },
  ];
  await it.deploy('server', { run: ['server.ts'], node: 'n2', ports });
  await it.deploy('client', {
    run: ['load.ts', 'http://server:8080/', '20', 'server:9090'],
    node: 'n1',
  });
  await proven(it);
  await it.loadGoesOn('client', 100);
  for (let round = 0; round < (isLong ? 3 : 1); round += 1) {
    if (isLong) await delay(200_000);
    const before = (await agents()).map(({ metadata }) => metadata.name);
    await kubectl(...rollout, 'restart', AGENT);
    await installed();
    const after = await agents();
    t.strictSame(await nodesWithAgent(), NODES);
    t.notOk(
      after.some(({ metadata }) => before.includes(metadata.name)),
      'every agent is a new one',
    );
    await proven(it);
    const load = await it.loadGoesOn('client', 200);
    t.match(load, { failed: 0, broken: 0 }, `round ${round + 1}: ${JSON.stringify(load)}`);
  }
});

test('an agent that never gets ready leaves the old one serving', { skip }, async (t) => {
  await install();
  const it = await Scenario.start(t, 'badagent', AMBIENT);
  await it.deploy('server', {
    run: ['server.ts'],
    node: 'n2',
    ports: [{ name: 'http', port: 8080 }],
  });
  await it.deploy('client', { run: ['load.ts', 'http://server:8080/', '50'], node: 'n1' });
  await proven(it);
  await it.loadGoesOn('client');
  const before = (await agents()).map(({ metadata }) => metadata.name).toSorted();
  t.after(async () => {
    await kubectl(...rollout, 'undo', AGENT);
    await installed();
  });
  const broken = [
    { op: 'add', path: '/spec/template/spec/containers/0/args/-', value: '--nonsense' },
  ];
  await kubectl('-n', SYSTEM, 'patch', AGENT, '--type=json', '-p', JSON.stringify(broken));
  await t.rejects(
    kubectl(...rollout, 'status', AGENT, '--timeout=20s'),
    'the rollout does not end',
  );
  const serving = (await agents())
    .filter(({ status }) => status.containerStatuses?.[0]?.ready === true)
    .map(({ metadata }) => metadata.name);
  t.strictSame(serving.toSorted(), before, 'the old agents serve');
  const load = await it.loadGoesOn('client', 50);
  t.match(load, { failed: 0 }, JSON.stringify(load));
});

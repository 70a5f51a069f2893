/** While the agent of a node is away no pod of the mesh starts there, and every other pod does. */
import { test } from 'tap';
import { apply, eventually, kubectl, needsCluster as skip, rolledOut } from './cluster.ts';
import { AMBIENT, install, installed, proven, SYSTEM } from './product.ts';
import { Scenario } from './scenario.ts';

const AGENT = ['-n', SYSTEM, 'patch', 'daemonset/plumbline-node-agent', '--type=merge', '-p'];
/** Keeps the agents of nodes with this name away; null brings them back. */
const onlyOn = (node: string | null): string =>
  JSON.stringify({
    spec: { template: { spec: { nodeSelector: { 'kubernetes.io/hostname': node } } } },
  });

test('with the agent away a pod of the mesh waits, and says why', { skip }, async (t) => {
  await install();
  const meshed = await Scenario.start(t, 'gated', AMBIENT);
  const plain = await Scenario.start(t, 'ungated');
  await meshed.deploy('early', { run: ['server.ts'], node: 'n2' });
  await proven(meshed);
  t.after(async () => {
    await kubectl(...AGENT, onlyOn(null));
    await installed();
  });
  // Killed, not ended: no agent on n2 says good-bye.
  await kubectl(...AGENT, onlyOn('n1'));
  await kubectl(
    '-n',
    SYSTEM,
    'delete',
    'pod',
    '--field-selector=spec.nodeName=n2',
    '--force',
    '--grace-period=0',
    '-l',
    'app.kubernetes.io/name=plumbline-node-agent',
  );

  await apply(...meshed.objects('late', { run: ['server.ts'], node: 'n2' }));
  await plain.deploy('other', { run: ['server.ts'], node: 'n2' });
  t.pass('a pod of another namespace starts at once');
  await eventually('the waiting pod has an event that says why', async () => {
    const events = await kubectl(
      '-n',
      'gated',
      'get',
      'events',
      '-o',
      'jsonpath={.items[*].message}',
    );
    if (!/plugin type="plumbline" failed \(add\)/.test(events)) throw new Error(events);
  });
  t.match((await meshed.pod('late')).status, { phase: 'Pending' }, 'it has not started');

  await kubectl(...AGENT, onlyOn(null));
  await installed();
  await rolledOut('gated', 'deployment/late');
  await proven(meshed);
  t.pass('with the agent back it starts, captured');
});

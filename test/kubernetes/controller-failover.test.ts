/** Either controller may be killed: the other one goes on, and traffic does not notice. */
import { test } from 'tap';
import { eventually, get, kubectl, needsCluster as skip } from './cluster.ts';
import { controllers, enrol, install, installed, proven, SYSTEM } from './product.ts';
import { Scenario } from './scenario.ts';

const lease = async (): Promise<string> =>
  (
    await get<{ readonly spec: { readonly holderIdentity: string } }>(
      `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM}/leases/plumbline-controller`,
    )
  ).spec.holderIdentity;

test('another controller leads when the leader is killed', { skip }, async (t) => {
  await install();
  const it = await Scenario.start(t, 'failover');
  const ports = [{ name: 'http', port: 8080 }];
  await it.deploy('server', { run: ['server.ts'], node: 'n2', ports });
  await it.deploy('client', { run: ['load.ts', 'http://server:8080/', '50'], node: 'n1' });
  await enrol(it, 'ambient');
  await proven(it);

  for (const who of ['the leader', 'the follower']) {
    const leader = await lease();
    const all = (await controllers()).map(({ metadata }) => metadata.name);
    t.ok(all.includes(leader), `${leader} leads`);
    const victim = who === 'the leader' ? leader : all.find((name) => name !== leader);
    await kubectl('-n', SYSTEM, 'delete', 'pod', victim ?? '', '--grace-period=0', '--force');
    await eventually('somebody else leads', async () => {
      const now = await lease();
      if (now === victim || now === '') throw new Error(`${now} leads`);
    });
    // A change that only a controller can tell the agents.
    const name = who.replace(' ', '-');
    await it.deploy(name, { run: ['server.ts'], node: 'n1' });
    await proven(it);
    t.ok(await it.ask(name, 'http://server:8080/'), `a new pod is served without ${who}`);
    await installed();
  }
  const load = await it.loadGoesOn('client', 50);
  t.match(load, { failed: 0 }, JSON.stringify(load));
});

/** Running pods join the mesh by a label of their namespace and leave without it; nothing restarts. */
import { test } from 'tap';
import { kubectl, needsCluster as skip } from './cluster.ts';
import { accessLine, enrol, install, proven, released } from './product.ts';
import { Scenario } from './scenario.ts';
import { watchWire } from './wire.ts';

const ports = [
  { name: 'http', port: 8080 },
  { name: 'tcp', port: 9090 },
];

test('a namespace joins and leaves while its pods run', { skip }, async (t) => {
  await install();
  const it = await Scenario.start(t, 'joins');
  await it.deploy('server', { run: ['server.ts'], node: 'n2', ports });
  await it.deploy('client', {
    run: ['load.ts', 'http://server:8080/', '50', 'server:9090'],
    node: 'n1',
  });
  const before = [await it.pod('client'), await it.pod('server')];
  const wire = watchWire(t);
  await it.loadGoesOn('client');
  t.ok(wire.report().inClear > 0, 'outside the mesh all is in clear, and the watch sees it');

  await enrol(it, 'ambient');
  await proven(it);
  await it.loadGoesOn('client');
  t.match(await accessLine('n2', { direction: 'inbound', security: 'mutual_tls' }), {
    'src.identity': 'spiffe://cluster.local/ns/joins/sa/client',
  });

  await enrol(it, undefined);
  await released(it);
  const { inClear } = wire.report();
  await it.loadGoesOn('client');
  t.ok(wire.report().inClear > inClear, 'it is in clear again');
  t.match(await it.load('client'), { failed: 0 }, 'no request failed');
  t.strictSame(
    [await it.pod('client'), await it.pod('server')].map(({ metadata }) => metadata.uid),
    before.map(({ metadata }) => metadata.uid),
    'they are the same pods',
  );
  const pods = await kubectl('-n', it.namespace, 'get', 'pods', '--no-headers');
  t.notMatch(pods, /\([0-9]+[sm] ago\)/, 'no container was restarted');
});

test('a pod stays out by its own label', { skip }, async (t) => {
  await install();
  const it = await Scenario.start(t, 'optout', { 'plumbline.dev/dataplane-mode': 'ambient' });
  await it.deploy('server', { run: ['server.ts'], node: 'n2', ports });
  await it.deploy('outside', {
    run: ['load.ts', 'http://server:8080/', '50'],
    node: 'n1',
    labels: { 'plumbline.dev/dataplane-mode': 'none' },
  });
  await it.deploy('inside', { run: ['load.ts', 'http://server:8080/', '50'], node: 'n1' });
  await it.loadGoesOn('inside');
  await it.loadGoesOn('outside');
  const { podIP: outside } = (await it.pod('outside')).status;
  const { podIP: inside } = (await it.pod('inside')).status;
  t.match(await it.ask('outside', 'http://server:8080/'), { from: outside });
  t.match(await it.ask('inside', 'http://server:8080/'), { from: inside });
  const line = async (address = ''): Promise<unknown> =>
    accessLine('n2', { direction: 'inbound', 'src.addr': new RegExp(`^${address}:`) });
  t.match(await line(inside), { security: 'mutual_tls' });
  t.match(await line(outside), { security: 'unknown' }, 'admitted in clear');
});

/** A node loses power and starts again: its pods come back captured, and nothing was ever in clear. */
import { test } from 'tap';
import { needsCluster as skip, nodeReady, testbed } from './cluster.ts';
import { AMBIENT, install, installed, proven } from './product.ts';
import { Scenario } from './scenario.ts';
import { watchWire } from './wire.ts';

test('the pods of a node that was restarted are captured again', { skip }, async (t) => {
  await install();
  const it = await Scenario.start(t, 'reboot', AMBIENT);
  const ports = [{ name: 'http', port: 8080 }];
  await it.deploy('server', { run: ['server.ts'], node: 'n2', ports });
  await it.deploy('client', { run: ['load.ts', 'http://server:8080/', '50'], node: 'n1' });
  await proven(it);
  await it.loadGoesOn('client');
  const { metadata } = await it.pod('server');

  await testbed('stop', 'n2');
  await testbed('start', 'n2');
  const wire = watchWire(t);
  await nodeReady('n2', Date.now());
  await installed();
  await it.loadGoesOn('client', 50);
  await proven(it);
  t.match(await it.pod('server'), { metadata: { uid: metadata.uid } }, 'it is the same pod');
  t.match(await it.ask('client', 'http://server:8080/'), { node: 'n2' });
  t.equal(wire.report().inClear, 0, 'nothing was in clear meanwhile');
});

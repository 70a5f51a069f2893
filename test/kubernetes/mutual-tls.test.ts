/** Between nodes everything is inside mutual TLS: what pods say to each other is seen 0 times on the wire. */
import { test } from 'tap';
import { needsCluster as skip } from './cluster.ts';
import { accessLine, AMBIENT, install, proven } from './product.ts';
import { Scenario } from './scenario.ts';
import { watchWire } from './wire.ts';

test('the marker of pods crosses the wire 0 times', { skip }, async (t) => {
  await install();
  const it = await Scenario.start(t, 'wire', AMBIENT);
  const ports = [
    { name: 'http', port: 8080 },
    { name: 'tcp', port: 9090 },
  ];
  await it.deploy('server', { run: ['server.ts'], node: 'n2', ports });
  await proven(it);
  const wire = watchWire(t);
  await it.deploy('client', {
    run: ['load.ts', 'http://server:8080/', '20', 'server:9090'],
    node: 'n1',
  });
  await proven(it);
  const server = (await it.pod('server')).status.podIP;
  for (const url of [`http://${server}:8080/`, `tcp://${server}:9090`])
    t.ok(await it.ask('client', url), 'by address');
  const load = await it.loadGoesOn('client', 100);
  t.match(load, { failed: 0, broken: 0 });
  const { packets, inClear } = wire.report();
  t.ok(packets > 300, `the watch saw ${packets} packets`);
  t.equal(inClear, 0, 'none of them with the marker in clear');
  t.match(await accessLine('n1', { direction: 'outbound', 'src.namespace': 'wire' }), {
    security: 'mutual_tls',
    'dst.identity': 'spiffe://cluster.local/ns/wire/sa/server',
  });
});

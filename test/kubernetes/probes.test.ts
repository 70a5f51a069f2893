/** Under STRICT the kubelet's probes pass, of every kind, and nobody else without an identity does. */
import { test } from 'tap';
import { apply, eventually, needsCluster as skip } from './cluster.ts';
import { accessLine, AMBIENT, install, proven } from './product.ts';
import { Scenario } from './scenario.ts';

const probes: Readonly<Record<string, object>> = {
  http: { httpGet: { path: '/healthz', port: 8080 } },
  tcp: { tcpSocket: { port: 9090 } },
  grpc: { grpc: { port: 50_051 } },
  exec: { exec: { command: ['node', '/pods/ask.ts', 'http://127.0.0.1:8080/healthz'] } },
};

test('kubelet probes pass under STRICT', { skip }, async (t) => {
  await install();
  const it = await Scenario.start(t, 'probes', AMBIENT);
  await apply({
    apiVersion: 'plumbline.dev/v1alpha1',
    kind: 'PeerAuthentication',
    metadata: { name: 'default', namespace: it.namespace },
    spec: { mtls: { mode: 'STRICT' } },
  });
  for (const [name, probe] of Object.entries(probes)) {
    const period =
      name === 'exec' ? { periodSeconds: 5, timeoutSeconds: 10 } : { periodSeconds: 1 };
    await it.deploy(name, {
      run: ['server.ts'],
      node: 'n2',
      container: {
        readinessProbe: { ...probe, ...period },
        livenessProbe: { ...probe, ...period, failureThreshold: 5 },
      },
    });
    t.pass(`a pod with a probe by ${name} is ready`);
  }
  await proven(it);
  const outside = await Scenario.start(t, 'unmeshed');
  await outside.deploy('stranger', { run: ['server.ts'], node: 'n1' });
  await it.deploy('client', { run: ['server.ts'], node: 'n1' });
  await proven(it);
  const url = `http://${(await it.pod('http')).status.podIP}:8080/`;
  t.ok(await it.ask('client', url), 'a member is admitted');
  await t.rejects(outside.ask('stranger', url), /FAILED/, 'a stranger is not');
  t.match(await accessLine('n2', { direction: 'inbound', code: 'POLICY_DENIED' }), {
    policy: /peer-authentication\/probes\/default/,
  });
  await eventually('all of them are ready still, and none was restarted', async () => {
    for (const name of Object.keys(probes)) {
      const { status, metadata } = await it.pod(name);
      const [container] = status.containerStatuses ?? [];
      if (container?.ready !== true || container.restartCount > 0)
        throw new Error(`${metadata.name}: ${JSON.stringify(container)}`);
    }
  });
});

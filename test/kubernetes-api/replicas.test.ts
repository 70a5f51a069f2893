/** What two controllers on a real API server write there, and whom they answer. */
import { once } from 'node:events';
import { request as ask } from 'node:https';
import { test } from 'tap';
import { identityOf } from '#common/identity.ts';
import { makeRequest } from '#common/tls/csr.ts';
import { splitPem, verifyChain } from '#common/tls/trust.ts';
import { findPrograms, NAMESPACES, PODS } from '../helpers/api-server.ts';
import { connectAgent, projectToken, SYSTEM } from '../helpers/cluster-agent.ts';
import { running, runPod } from '../helpers/cluster-objects.ts';
import { eventually } from '../helpers/program.ts';
import type { Replica } from '../helpers/replica.ts';
import {
  BUNDLE,
  condition,
  CONFIG_MAPS,
  core,
  label,
  POLICIES,
  rbac,
  startControllers,
  until,
  WITHIN_MS,
  type Loose,
} from '../helpers/two-controllers.ts';

const cart = identityOf('cluster.local', 'shop', 'default');
const { signal } = new AbortController();
const programs = findPrograms();

function isAbout(event: unknown): event is Loose {
  return (
    typeof event === 'object' &&
    event !== null &&
    'reason' in event &&
    event.reason === 'NotCaptured'
  );
}

test('two controllers', { skip: programs === undefined && 'no test bed' }, async (suite) => {
  const parts = await startControllers(suite, programs);
  const { api, replicas, follower, leader, roots, token, client, held, podUid, proof, captured } =
    parts;

  await suite.test(
    'one of them leads, and publishes the roots where they are needed',
    async (t) => {
      const first = await until(api, CONFIG_MAPS, BUNDLE, () => true);
      const pem = first['data']['root-cert.pem'];
      t.equal(splitPem(pem).length, 1);
      await api.delete(CONFIG_MAPS, BUNDLE);
      await until(api, CONFIG_MAPS, BUNDLE, ({ data }) => data['root-cert.pem'] === pem);
      const body = { data: { 'root-cert.pem': 'forged' } };
      await api.patch(CONFIG_MAPS, BUNDLE, { kind: 'merge', body });
      await until(api, CONFIG_MAPS, BUNDLE, ({ data }) => data['root-cert.pem'] === pem);
      const there = { ...BUNDLE, namespace: 'shop' };
      const system = await api.get<Loose>(NAMESPACES, { name: SYSTEM });
      t.match(first['metadata'].ownerReferences, [
        { kind: 'Namespace', name: SYSTEM, uid: system?.['metadata'].uid },
      ]);
      t.equal(await api.get(CONFIG_MAPS, there), undefined, 'it is not in the mesh');
      await label(api, 'shop', { 'plumbline.dev/dataplane-mode': 'ambient' });
      await until(api, CONFIG_MAPS, there, ({ data }) => data['root-cert.pem'] === pem);
    },
  );

  await suite.test(
    'an agent gets its part, and a certificate for the pods of its node',
    async (t) => {
      await eventually('the snapshot', async () => {
        if (held.version === 0) throw new Error(JSON.stringify(client.state));
      });
      t.equal(held.updates[0]?.snapshot, true);
      t.equal(
        client.state.state === 'connected' && client.state.controller.trustDomain,
        'cluster.local',
      );
      const { csrPem } = makeRequest(cart);
      const { chain } = await client.requestCertificate(cart, csrPem, signal);
      t.ok(verifyChain(chain, await roots(), Date.now()));
      const agents = await follower.ask<Loose[]>('/v1/agents');
      t.match(agents, [{ node: 'n1', remote: '127.0.0.1' }]);
    },
  );

  await suite.test('the startup taint goes once the agent is ready, and no other', async (t) => {
    const status = {
      waitingFor: [],
      startedAtMs: 1,
      podsLabelled: 1,
      podsProven: 1,
      connections: 0,
    };
    client.reportStatus({ ...status, ready: false });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const keys = ({ spec }: Loose): string[] => spec.taints.map((one: Loose) => one['key']);
    const before = await api.get<Loose>(core('nodes'), { name: 'n1' });
    t.ok(keys(before ?? {}).includes('plumbline.dev/agent-not-ready'), 'not before');
    client.reportStatus({ ...status, ready: true });
    const after = await until(
      api,
      core('nodes'),
      { name: 'n1' },
      (found) => !keys(found).includes('plumbline.dev/agent-not-ready'),
    );
    t.ok(keys(after).includes('other'), 'and nobody else’s');
  });

  await suite.test(
    'what the agent proves stands in the pod’s condition, and in Events',
    async (t) => {
      proof('captured');
      const good = await captured('True');
      t.match(condition(good, 'plumbline.dev/Captured'), {
        reason: 'Proven',
        message: 'inbound IPv4, outbound IPv4',
        lastProbeTime: /^20/,
      });
      t.equal(condition(good, 'Ready')['status'], 'True', 'kubelet’s own stay');
      proof('not-captured', 'somebody flushed the rules');
      t.match(condition(await captured('False'), 'plumbline.dev/Captured'), {
        reason: 'NotCaptured',
        message: /somebody flushed the rules/,
      });
      await eventually(
        'the Event',
        async () => {
          const { items } = await api.list(core('events'), { namespace: 'shop' });
          const found = items.find(isAbout);
          t.match(found, {
            type: 'Warning',
            involvedObject: { name: 'cart', uid: podUid },
            count: 1,
          });
          if (found === undefined) throw new Error('none');
        },
        WITHIN_MS,
      );
      proof('captured');
      await captured('True');
    },
  );

  await suite.test(
    'a policy says whether it was taken, and at how many nodes it is in force',
    async (t) => {
      const policy = (name: string, spec: Loose): Loose => ({
        apiVersion: 'plumbline.dev/v1alpha1',
        kind: 'AuthorizationPolicy',
        metadata: { name },
        spec,
      });
      // What the schema of the kind cannot tell from an address.
      const from = (block: string) => ({ rules: [{ from: [{ source: { ipBlocks: [block] } }] }] });
      const good = { action: 'ALLOW', rules: [{ from: [{ source: { namespaces: ['shop'] } }] }] };
      await api.create(POLICIES, 'shop', policy('good', good));
      await api.create(POLICIES, 'shop', policy('bad', from('::::')));
      const named = (name: string) => ({ namespace: 'shop', name });
      const taken = await until(
        api,
        POLICIES,
        named('good'),
        (found) => condition(found, 'Programmed')['status'] === 'True',
      );
      t.match(taken['status'], { observedGeneration: 1 });
      t.match(condition(taken, 'Accepted'), { status: 'True', reason: 'Accepted' });
      t.match(condition(taken, 'Programmed'), { message: 'in force at 1/1 nodes' });
      const refused = await until(
        api,
        POLICIES,
        named('bad'),
        (found) => condition(found, 'Accepted')['status'] === 'False',
      );
      t.match(condition(refused, 'Accepted'), { reason: 'Invalid', message: /ipBlocks/ });
      await api.patch(POLICIES, named('bad'), {
        kind: 'merge',
        body: { spec: from('10.0.0.0/8') },
      });
      const mended = await until(
        api,
        POLICIES,
        named('bad'),
        (found) => condition(found, 'Accepted')['status'] === 'True',
      );
      t.equal(mended['status'].observedGeneration, 2);
      await new Promise((resolve) => setTimeout(resolve, 3000));
      const later = await api.get<Loose>(POLICIES, named('good'));
      t.equal(
        later?.['metadata'].resourceVersion,
        taken['metadata'].resourceVersion,
        'written once',
      );
    },
  );

  await suite.test('queries over TCP are for whom the API server lets ask', async (t) => {
    const port = replicas[0]?.at('api') ?? 0;
    const query = async (path: string, bearer?: string): Promise<number> => {
      const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
      const ca = await roots();
      const checkServerIdentity = () => undefined;
      const sent = ask({ host: '127.0.0.1', port, path, headers, ca, checkServerIdentity });
      sent.end();
      const [answer] = await once(sent, 'response');
      answer.resume();
      return Number(answer.statusCode);
    };
    const viewer = await projectToken(api, { account: 'viewer' });
    const foreign = await projectToken(api, {
      account: 'viewer',
      audience: 'https://kubernetes.default.svc.cluster.local',
    });
    t.equal(await query('/v1/workloads'), 401);
    t.equal(await query('/v1/workloads', 'x.y.z'), 401);
    t.equal(await query('/v1/workloads', foreign.token), 401, 'a token for the API server');
    t.equal(await query('/v1/workloads', viewer.token), 403, 'known, and not let in');
    await api.create(rbac('clusterroles'), undefined, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'plumbline-viewer' },
      rules: [{ nonResourceURLs: ['/plumbline.dev/v1/*'], verbs: ['get'] }],
    });
    await api.create(rbac('clusterrolebindings'), undefined, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'plumbline-viewer' },
      roleRef: {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'ClusterRole',
        name: 'plumbline-viewer',
      },
      subjects: [{ kind: 'ServiceAccount', namespace: SYSTEM, name: 'viewer' }],
    });
    await eventually('the viewer is let in', async () => {
      const status = await query('/v1/workloads', viewer.token);
      if (status !== 200) throw new Error(String(status));
    });
    t.equal(await query('/v1/ca', token), 403, 'an agent may not');
  });

  await suite.test('health and metrics', async (t) => {
    const text = async (one: Replica, path: string): Promise<string> => {
      const answer = await fetch(`http://127.0.0.1:${one.at('metrics')}${path}`);
      return `${answer.status} ${await answer.text()}`;
    };
    for (const one of replicas) {
      t.match(await text(one, '/healthz'), /^200 /);
      t.match(await text(one, '/readyz'), /^200 /);
    }
    const metrics = await text(follower, '/metrics');
    t.match(metrics, /plumbline_controller_leads 0/);
    for (const one of replicas) {
      await eventually('the pods, proven', async () => {
        const found = await text(one, '/metrics');
        if (!/plumbline_controller_pods\{state="proven"\} 1/.test(found)) throw new Error(found);
      });
    }
    t.match(await text(leader, '/metrics'), /plumbline_controller_leads 1/);
    t.match(metrics, /plumbline_controller_certificate_days\{certificate="root"\} 36\d\d/);
    t.match(metrics, /plumbline_controller_push_seconds_count [1-9]/);
    t.match(metrics, /plumbline_controller_writes_total\{queue="pods",result="written"\} [1-9]/);
  });

  await suite.test('an agent whose pod is deleted is cut off, and not let in again', async (t) => {
    const { token: bound, pod } = await projectToken(api);
    await runPod(api, SYSTEM, pod, running('10.250.0.11'));
    await eventually('the pod is known', async () => {
      const all = await follower.ask<Loose[]>('/v1/workloads');
      if (!all.some(({ name }) => name === pod)) throw new Error('not yet');
    });
    const port = follower.port ?? 0;
    const other = await connectAgent(t, { port, node: 'n1', token: bound }, roots);
    await eventually('it is connected', async () => {
      if (other.client.state.state !== 'connected') throw new Error('not yet');
    });
    const now = { query: { gracePeriodSeconds: '0' } };
    await api.delete(PODS, { namespace: SYSTEM, name: pod }, now);
    await eventually('it is cut off and refused', async () => {
      const { state } = other.client;
      if (state.state !== 'connecting' || !/401/.test(state.lastError)) {
        throw new Error(JSON.stringify(state));
      }
    });
    t.equal(client.state.state, 'connected', 'the other stays');
  });
});

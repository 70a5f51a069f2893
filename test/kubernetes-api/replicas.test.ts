/** Two controllers on a real API server: the programs themselves, agents that move between them. */
import { once } from 'node:events';
import { request as ask } from 'node:https';
import { test, type Test } from 'tap';
import { identityOf } from '#common/identity.ts';
import { makeRequest } from '#common/tls/csr.ts';
import { splitPem, verifyChain } from '#common/tls/trust.ts';
import type { ApiClient } from '../../controller/kube/api-client.ts';
import type { Resource } from '../../controller/kube/resource.ts';
import {
  findPrograms,
  KubeStore,
  NAMESPACES,
  PODS,
  type ApiServer,
} from '../helpers/api-server.ts';
import { AGENT, connectAgent, projectToken, SYSTEM } from '../helpers/cluster-agent.ts';
import { CRDS, crdBody, podBody, running, runPod } from '../helpers/cluster-objects.ts';
import { eventually } from '../helpers/program.ts';
import { Replica, startFront } from '../helpers/replica.ts';

const core = (plural: string): Resource => ({ group: '', version: 'v1', plural });
const LEASES: Resource = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' };
const POLICIES: Resource = {
  group: 'plumbline.dev',
  version: 'v1alpha1',
  plural: 'authorizationpolicies',
};
const CONFIG_MAPS = core('configmaps');
const BUNDLE = 'plumbline-root-cert';
const AMBIENT = { 'plumbline.dev/dataplane-mode': 'ambient' };
const WITHIN_MS = 120_000;
const cart = identityOf('cluster.local', 'shop', 'default');
const { signal } = new AbortController();
const programs = findPrograms();

type Loose = Record<string, any>;

/** Reads an object again and again until it is as it should be. */
async function until(
  api: ApiClient,
  resource: Resource,
  at: { namespace?: string; name: string },
  holds: (found: Loose) => boolean,
): Promise<Loose> {
  return eventually(
    `${resource.plural} ${at.name}`,
    async () => {
      const found = await api.get<Loose>(resource, at);
      if (found === undefined || !holds(found)) throw new Error(JSON.stringify(found ?? 'none'));
      return found;
    },
    WITHIN_MS,
  );
}

async function gone(api: ApiClient, resource: Resource, at: { namespace: string; name: string }) {
  await eventually(
    `${at.name} is gone`,
    async () => {
      if ((await api.get(resource, at)) !== undefined) throw new Error('still there');
    },
    WITHIN_MS,
  );
}

function condition(object: Loose, type: string): Loose {
  const list: Loose[] = object['status']?.conditions ?? [];
  return list.find((one) => one['type'] === type) ?? {};
}

async function setUp(t: Test): Promise<{ server: ApiServer; api: ApiClient }> {
  if (programs === undefined) throw new Error('no programs');
  const store = await KubeStore.start(programs);
  t.teardown(async () => store.stop());
  const server = await store.serve();
  const api = server.client();
  t.teardown(() => api.close());
  const make = async (resource: Resource, namespace: string | undefined, body: Loose) =>
    api.create<Loose>(resource, namespace, { apiVersion: 'v1', ...body });
  for (const name of [SYSTEM, 'shop']) {
    await make(NAMESPACES, undefined, { kind: 'Namespace', metadata: { name } });
  }
  for (const [namespace, name] of [
    [SYSTEM, AGENT],
    [SYSTEM, 'viewer'],
  ] as const) {
    await make(core('serviceaccounts'), namespace, { kind: 'ServiceAccount', metadata: { name } });
  }
  const taints = [
    { key: 'plumbline.dev/agent-not-ready', effect: 'NoSchedule' },
    { key: 'other', effect: 'NoSchedule' },
  ];
  await make(core('nodes'), undefined, {
    kind: 'Node',
    metadata: { name: 'n1' },
    spec: { taints },
  });
  const crd = crdBody('plumbline.dev', 'AuthorizationPolicy', POLICIES.plural, [
    'v1alpha1',
  ]) as Loose;
  const [version] = crd['spec'].versions;
  version.subresources = { status: {} };
  version.schema.openAPIV3Schema.properties.status = {
    type: 'object',
    'x-kubernetes-preserve-unknown-fields': true,
  };
  await api.create(CRDS, undefined, crd);
  await api.create(PODS, 'shop', podBody('cart'));
  await runPod(api, 'shop', 'cart', running('10.244.1.5'));
  return { server, api };
}

const setLabels = async (api: ApiClient, name: string, labels: Loose) =>
  api.patch(NAMESPACES, { name }, { kind: 'merge', body: { metadata: { labels } } });

test('two controllers', { skip: programs === undefined && 'no test bed' }, async (suite) => {
  const { server, api } = await setUp(suite);
  const replicas = [new Replica('a', server.kubeconfig), new Replica('b', server.kubeconfig)];
  for (const one of replicas) {
    one.start();
    suite.teardown(async () => {
      await one.end('SIGKILL');
      one.remove();
    });
  }
  for (const one of replicas) await one.ready();
  const holder = async (): Promise<string> => {
    const lease = await api.get<Loose>(LEASES, { namespace: SYSTEM, name: 'plumbline-controller' });
    return lease?.['spec'].holderIdentity ?? '';
  };
  const pick = async (leads: boolean): Promise<Replica> => {
    const name = await holder();
    const found = replicas.find((one) => (one.name === name) === leads);
    if (found === undefined) throw new Error(`"${name}" leads`);
    return found;
  };
  const at = { namespace: SYSTEM, name: BUNDLE };
  const bundle = async (): Promise<string[]> => {
    const found = await api.get<Loose>(CONFIG_MAPS, at);
    return splitPem(found?.['data']['root-cert.pem'] ?? '');
  };

  await suite.test(
    'one of them leads, and publishes the roots where they are needed',
    async (t) => {
      const first = await until(api, CONFIG_MAPS, at, () => true);
      const pem = first['data']['root-cert.pem'];
      t.equal(splitPem(pem).length, 1);
      await api.delete(CONFIG_MAPS, at);
      await until(api, CONFIG_MAPS, at, ({ data }) => data['root-cert.pem'] === pem);
      const body = { data: { 'root-cert.pem': 'forged' } };
      await api.patch(CONFIG_MAPS, at, { kind: 'merge', body });
      await until(api, CONFIG_MAPS, at, ({ data }) => data['root-cert.pem'] === pem);
      const there = { namespace: 'shop', name: BUNDLE };
      t.equal(await api.get(CONFIG_MAPS, there), undefined, 'it is not in the mesh');
      await setLabels(api, 'shop', AMBIENT);
      await until(api, CONFIG_MAPS, there, ({ data }) => data['root-cert.pem'] === pem);
    },
  );

  // The one that does not lead takes the agents first, so what it hears must reach the other's work.
  const order: Replica[] = [await pick(false), await pick(true)];
  const front = await startFront(order);
  suite.teardown(() => front.stop());
  const { token } = await projectToken(api);
  const agent = await connectAgent(suite, { port: front.port, node: 'n1', token }, bundle);
  const { client, held } = agent;
  const podUid = (await api.get<Loose>(PODS, { namespace: 'shop', name: 'cart' }))?.['metadata']
    .uid;

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
      t.ok(verifyChain(chain, await bundle(), Date.now()));
      const agents = await order[0]?.ask<Loose[]>('/v1/agents');
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

  const proof = (outcome: 'captured' | 'not-captured', reason = ''): void => {
    const base = { podUid, namespace: 'shop', name: 'cart', family: 4 as const, outcome, reason };
    client.reportProof(
      (['inbound', 'outbound'] as const).map((direction) => {
        return { ...base, direction, atMs: Date.now() };
      }),
    );
  };
  const pod = { namespace: 'shop', name: 'cart' };
  const captured = async (status: string): Promise<Loose> =>
    until(
      api,
      PODS,
      pod,
      (found) => condition(found, 'plumbline.dev/Captured')['status'] === status,
    );

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
          const found = (items as Loose[]).find((one) => one['reason'] === 'NotCaptured');
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
      const good = { action: 'ALLOW', rules: [{ from: [{ source: { namespaces: ['shop'] } }] }] };
      await api.create(POLICIES, 'shop', policy('good', good));
      await api.create(POLICIES, 'shop', policy('bad', { action: 'ALLOW', rulez: [] }));
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
      t.match(condition(refused, 'Accepted'), { reason: 'Invalid', message: /rulez/ });
      await api.patch(POLICIES, named('bad'), { kind: 'merge', body: { spec: { rulez: null } } });
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
      const ca = await bundle();
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
    const rbac = (plural: string) => ({
      group: 'rbac.authorization.k8s.io',
      version: 'v1',
      plural,
    });
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
    const [follower, leader] = order;
    if (follower === undefined || leader === undefined) throw new Error('no replicas');
    const metrics = await text(follower, '/metrics');
    t.match(metrics, /plumbline_controller_leads 0/);
    t.match(await text(leader, '/metrics'), /plumbline_controller_leads 1/);
    t.match(metrics, /plumbline_controller_certificate_days\{certificate="root"\} 36\d\d/);
    t.match(metrics, /plumbline_controller_push_seconds_count [1-9]/);
    t.match(metrics, /plumbline_controller_writes_total\{queue="pods",result="written"\} [1-9]/);
  });

  await suite.test(
    'a root is replaced while the agent is with the replica that follows',
    async (t) => {
      const leader = await pick(true);
      const before = await bundle();
      let leaves = 0;
      const renew = async (): Promise<void> => {
        const { csrPem } = makeRequest(cart);
        const { authority } = await client.requestCertificate(cart, csrPem, signal);
        leaves += 1;
        client.reportLeaves([{ identity: cart, authority, notAfterMs: Date.now() + 3_600_000 }]);
      };
      await renew();
      await leader.ask('/v1/ca/rotate', 'POST');
      await t.rejects((await pick(false)).ask('/v1/ca/rotate', 'POST'), /another replica/);
      await until(api, CONFIG_MAPS, at, ({ data }) => splitPem(data['root-cert.pem']).length === 2);
      const blocked = await eventually(
        'the leader waits for the agent of the other',
        async () => {
          const found = await leader.ask<Loose>('/v1/ca');
          if (found['phase'] !== 'switched') throw new Error(JSON.stringify(found['waitingFor']));
          if (found['waitingFor'][0]?.node !== 'n1') throw new Error('not yet');
          return found;
        },
        WITHIN_MS,
      );
      t.match(blocked['waitingFor'], [{ reason: /still uses 1 certificate/ }]);
      await renew();
      await until(
        api,
        CONFIG_MAPS,
        at,
        ({ data }) =>
          data['root-cert.pem'] !== before.join('') && splitPem(data['root-cert.pem']).length === 1,
      );
      t.equal(leaves, 2);
    },
  );

  await suite.test('killing the replica with the agents loses nothing', async (t) => {
    const [follower] = order;
    if (follower === undefined) throw new Error('no follower');
    const { epoch } = held;
    const updates = held.updates.length;
    const killedMs = performance.now();
    await follower.end('SIGKILL');
    await eventually('the agent is with the other', async () => {
      if (held.epoch === epoch || client.state.state !== 'connected') throw new Error('not yet');
    });
    t.comment(`the agent moved in ${Math.round(performance.now() - killedMs)} ms`);
    t.equal(held.updates[updates]?.snapshot, true, 'with a snapshot');
    t.ok(held.workloads.size > 0);
    const { csrPem } = makeRequest(cart);
    const { chain } = await client.requestCertificate(cart, csrPem, signal);
    t.ok(verifyChain(chain, await bundle(), Date.now()), 'under the same root');
    const board = await order[1]?.ask<Loose[]>('/v1/proof');
    t.match(board, [
      { podUid, outcome: 'captured' },
      { podUid, outcome: 'captured' },
    ]);
    follower.lines.length = 0;
    follower.start();
    await follower.ready();
  });

  await suite.test('killing the leader makes the other lead, and agents move over', async (t) => {
    const leader = await pick(true);
    const other = await pick(false);
    const killedMs = performance.now();
    await leader.end('SIGKILL');
    await eventually('the agent is with the other', async () => {
      const agents = await other.ask<Loose[]>('/v1/agents');
      if (agents.length !== 1) throw new Error('not yet');
    });
    t.comment(`the agent moved in ${Math.round(performance.now() - killedMs)} ms`);
    await eventually(
      'the other leads',
      async () => {
        if ((await holder()) !== other.name) throw new Error(await holder());
      },
      WITHIN_MS,
    );
    t.comment(`another leads after ${Math.round(performance.now() - killedMs)} ms`);
    await api.delete(CONFIG_MAPS, at);
    await until(api, CONFIG_MAPS, at, () => true);
    leader.lines.length = 0;
    leader.start();
    await leader.ready();
  });

  await suite.test('a leader that stops in order hands over at once', async (t) => {
    const leader = await pick(true);
    const other = await pick(false);
    const stoppedMs = performance.now();
    await leader.end('SIGTERM');
    await eventually('the other leads', async () => {
      if ((await holder()) !== other.name) throw new Error(await holder());
    });
    t.comment(`another leads after ${Math.round(performance.now() - stoppedMs)} ms`);
    leader.lines.length = 0;
    leader.start();
    await leader.ready();
  });

  await suite.test('nothing is lost while the API server is away', async (t) => {
    await server.stop();
    const before = held.version;
    proof('not-captured', 'while nobody listens');
    const { csrPem } = makeRequest(cart);
    const issued = await client.requestCertificate(cart, csrPem, signal);
    t.ok(issued.chain, 'certificates are signed');
    t.ok(held.version >= before && client.state.state === 'connected', 'agents stay');
    await server.start();
    const found = await captured('False');
    t.match(condition(found, 'plumbline.dev/Captured'), { message: /while nobody listens/ });
    await setLabels(api, 'shop', { 'plumbline.dev/dataplane-mode': null });
    await gone(api, CONFIG_MAPS, { namespace: 'shop', name: BUNDLE });
    await until(
      api,
      PODS,
      pod,
      (one) => condition(one, 'plumbline.dev/Captured')['status'] === undefined,
    );
  });
});

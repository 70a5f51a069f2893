/** Who is an agent, who leads, and where the CA is kept: against a real API server. */
import { test, type Test } from 'tap';
import { CertificateAuthority, type CaOptions } from '../../controller/ca/certificate-authority.ts';
import { givenIn, SecretCaStore } from '../../controller/ca/secret-store.ts';
import type { ApiClient } from '../../controller/kube/api-client.ts';
import { KubeLease } from '../../controller/kube/lease-store.ts';
import type { Resource } from '../../controller/kube/resource.ts';
import { Reviews } from '../../controller/kube/reviews.ts';
import { secretAt } from '../../controller/kube/secrets.ts';
import { Leader } from '../../controller/lead/leader.ts';
import { accountOf } from '../../controller/push/agent-token.ts';
import { ReviewedTokens } from '../../controller/push/reviewed-tokens.ts';
import {
  findPrograms,
  KubeStore,
  NAMESPACES,
  PODS,
  type ApiServer,
} from '../helpers/api-server.ts';
import { AGENT, projectToken, SYSTEM, type TokenOptions } from '../helpers/cluster-agent.ts';
import { eventually } from '../helpers/control-rig.ts';
import { makeAuthority } from '../helpers/pki.ts';
import { eventually as attempted } from '../helpers/program.ts';
import { silent } from '../helpers/silent-log.ts';

const core = (plural: string): Resource => ({ group: '', version: 'v1', plural });
const PATIENCE_MS = 60_000;
const programs = findPrograms();

async function setUp(t: Test): Promise<{ server: ApiServer; api: ApiClient }> {
  if (programs === undefined) throw new Error('no programs');
  const store = await KubeStore.start(programs);
  t.teardown(async () => store.stop());
  const server = await store.serve();
  const api = server.client();
  t.teardown(() => api.close());
  for (const name of [SYSTEM, 'shop'])
    await make(api, NAMESPACES, undefined, 'Namespace', { name });
  await make(api, core('nodes'), undefined, 'Node', { name: 'n1' });
  for (const [namespace, name] of [
    [SYSTEM, AGENT],
    ['shop', AGENT],
    [SYSTEM, 'other'],
  ] as const) {
    await make(api, core('serviceaccounts'), namespace, 'ServiceAccount', { name });
  }
  return { server, api };
}

async function make(
  api: ApiClient,
  resource: Resource,
  namespace: string | undefined,
  kind: string,
  { name, ...rest }: { name: string } & Record<string, unknown>,
): Promise<{ metadata: { uid: string } }> {
  const body = { apiVersion: 'v1', kind, metadata: { name }, ...rest };
  return api.create(resource, namespace, body);
}

async function openCa(
  api: ApiClient,
  over: Partial<CaOptions> = {},
): Promise<CertificateAuthority> {
  const ca = new CertificateAuthority({
    store: new SecretCaStore(secretAt(api, SYSTEM, 'plumbline-ca')),
    given: givenIn(secretAt(api, SYSTEM, 'cacerts')),
    trustDomain: 'cluster.local',
    log: silent,
    settleMs: 0,
    followMs: 0,
    ...over,
  });
  await ca.start();
  return ca;
}

test('trust in a cluster', { skip: programs === undefined && 'no test bed' }, async (suite) => {
  const { server, api } = await setUp(suite);

  await suite.test('a token is an agent’s only when it is bound to its pod and node', async (t) => {
    const account = accountOf(SYSTEM, AGENT);
    const { authenticate } = new ReviewedTokens({
      reviewer: new Reviews(api),
      account,
      log: silent,
    });
    const { token: good, pod } = await projectToken(api);
    t.match(await authenticate(good), { node: 'n1', podUid: /^[0-9a-f-]{36}$/ });
    const bad: [string, TokenOptions][] = [
      ['for the API server', { audience: 'https://kubernetes.default.svc.cluster.local' }],
      ['of another account', { account: 'other' }],
      ['of the same name elsewhere', { namespace: 'shop' }],
      ['bound to nothing', { bound: false }],
    ];
    for (const [what, asked] of bad) {
      const { token } = await projectToken(api, asked);
      t.equal(await authenticate(token), undefined, what);
    }
    const forged = `${good.slice(0, -8)}AAAAAAAA`;
    t.equal(await authenticate(forged), undefined, 'a signature that is not right');
    await api.delete(
      PODS,
      { namespace: SYSTEM, name: pod },
      { query: { gracePeriodSeconds: '0' } },
    );
    // The API server itself remembers a token for ten seconds.
    await attempted('its pod is gone', async () => {
      const fresh = new ReviewedTokens({ reviewer: new Reviews(api), account, log: silent });
      if ((await fresh.authenticate(good)) !== undefined) throw new Error('still good');
    });
  });

  await suite.test('access to paths is as RBAC has it', async (t) => {
    const reviews = new Reviews(api);
    const subject = { username: 'jane', uid: '', groups: ['system:authenticated'], extra: {} };
    t.equal(await reviews.mayCall(subject, 'get', '/v1/workloads'), false);
    const rbac = (plural: string) => ({
      group: 'rbac.authorization.k8s.io',
      version: 'v1',
      plural,
    });
    const apiVersion = 'rbac.authorization.k8s.io/v1';
    await api.create(rbac('clusterroles'), undefined, {
      apiVersion,
      kind: 'ClusterRole',
      metadata: { name: 'viewer' },
      rules: [{ nonResourceURLs: ['/v1/workloads'], verbs: ['get'] }],
    });
    await api.create(rbac('clusterrolebindings'), undefined, {
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata: { name: 'viewer' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'viewer' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'jane' }],
    });
    await attempted('jane may', async () => {
      if (!(await reviews.mayCall(subject, 'get', '/v1/workloads'))) throw new Error('not yet');
    });
    t.equal(await reviews.mayCall(subject, 'post', '/v1/workloads'), false);
    t.equal(await reviews.mayCall(subject, 'get', '/v1/ca'), false);
  });

  await suite.test('two controllers have one CA, and the second follows the first', async (t) => {
    const heard: number[] = [];
    const [a, b] = await Promise.all([
      openCa(api),
      openCa(api, { mayWrite: () => false, onTrust: ({ generation }) => heard.push(generation) }),
    ]);
    t.strictSame(a.trust, b.trust, 'whoever was first');
    await t.rejects(b.rotate(), { code: 'NOT_LEADING' });
    t.equal(await a.rotate(), true);
    await b.refresh();
    t.strictSame(b.trust, a.trust);
    t.strictSame(heard, [2]);
    await b.advance([], () => []);
    t.equal(a.report().phase, 'distributing', 'the one that follows takes no step');
    for (let i = 0; i < 3; i += 1) await a.advance([], () => []);
    await b.refresh();
    t.strictSame([b.report().phase, b.trust], ['stable', a.trust]);
  });

  await suite.test('of two that both believe to lead, one loses a write and follows', async (t) => {
    const [a, b] = [await openCa(api), await openCa(api)];
    t.equal(await a.rotate(), true);
    t.equal(await b.rotate(), false, 'its state was an old one');
    t.strictSame(b.trust, a.trust);
    for (let i = 0; i < 3; i += 1) await a.advance([], () => []);
  });

  await suite.test('the CA is written again when somebody deletes it', async (t) => {
    const [a, b] = [await openCa(api), await openCa(api, { mayWrite: () => false })];
    const { trust } = a;
    await api.delete(core('secrets'), { namespace: SYSTEM, name: 'plumbline-ca' });
    await b.refresh();
    t.strictSame(b.trust, trust, 'the one that follows keeps what it has');
    await a.refresh();
    await b.refresh();
    t.strictSame([b.trust, (await openCa(api)).trust], [trust, trust]);
  });

  await suite.test('an intermediate in the Secret cacerts is used', async (t) => {
    const ca = await openCa(api);
    const root = makeAuthority('company root');
    const issuing = makeAuthority('mesh issuing', { issuer: root });
    const text = (pem: string): string => Buffer.from(pem).toString('base64');
    await make(api, core('secrets'), SYSTEM, 'Secret', {
      name: 'cacerts',
      data: {
        'ca-cert.pem': text(issuing.pem),
        'ca-key.pem': text(issuing.keyPem),
        'root-cert.pem': text(root.pem),
        'cert-chain.pem': text(issuing.pem),
      },
    });
    await ca.refresh();
    for (let i = 0; i < 3; i += 1) await ca.advance([], () => []);
    t.strictSame(ca.trust.roots, [root.pem]);
    const again = await openCa(api, { mayWrite: () => false });
    t.strictSame(again.trust.roots, [root.pem], 'by every replica');
  });

  await suite.test(
    'one of two leads; the other takes over when the lease is given back',
    async (t) => {
      const at = { namespace: SYSTEM, name: 'plumbline-controller' };
      const candidate = (me: string) =>
        new Leader({ lease: new KubeLease(api, at), me, log: silent });
      const [a, b] = [candidate('a'), candidate('b')];
      await a.start();
      await eventually(() => a.isLeading, 'a leads', PATIENCE_MS);
      await b.start();
      t.teardown(async () => b.stop());
      await eventually(() => b.holder === 'a', 'b has seen it', PATIENCE_MS);
      const lease = await api.get<Record<string, any>>(
        { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' },
        at,
      );
      t.match(lease?.['spec'], { holderIdentity: 'a', leaseDurationSeconds: 15 });
      await a.stop();
      await eventually(() => b.isLeading, 'b leads', PATIENCE_MS);
      await server.stop();
      await eventually(() => !b.isLeading, 'b leads no longer', PATIENCE_MS);
    },
  );
});

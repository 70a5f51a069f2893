/**
 * Two controllers on a real API server, each a process of its own, with one agent of the node n1 that
 * reaches them through a front, the one that does not lead first: what it hears must reach the other's
 * work. Kinds and rights are those of the manifests. The pod shop/cart runs on that node.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import { parseAllDocuments } from 'yaml';
import { splitPem } from '#common/tls/trust.ts';
import type { ApiClient } from '../../controller/kube/api-client.ts';
import type { Resource } from '../../controller/kube/resource.ts';
import { KubeStore, NAMESPACES, PODS, type ApiServer, type Programs } from './api-server.ts';
import { connectAgent, projectToken, SYSTEM } from './cluster-agent.ts';
import { CRDS, podBody, running, runPod } from './cluster-objects.ts';
import { eventually } from './program.ts';
import { Replica, startFront } from './replica.ts';

/** An object as the API server writes it. */
export type Loose = Record<string, any>;

export const core = (plural: string): Resource => ({ group: '', version: 'v1', plural });
export const CONFIG_MAPS = core('configmaps');
export const POLICIES: Resource = {
  group: 'plumbline.dev',
  version: 'v1alpha1',
  plural: 'authorizationpolicies',
};
const LEASES: Resource = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' };
/** The ConfigMap with the roots, where agents read it. */
export const BUNDLE = { namespace: SYSTEM, name: 'plumbline-root-cert' };
export const CART = { namespace: 'shop', name: 'cart' };
const API_AUDIENCE = 'https://kubernetes.default.svc.cluster.local';
export const WITHIN_MS = 120_000;

type At = { readonly namespace?: string; readonly name: string };

/** Reads an object again and again until it is as it should be. */
export async function until(
  api: ApiClient,
  resource: Resource,
  at: At,
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

export async function gone(api: ApiClient, resource: Resource, at: At): Promise<void> {
  await eventually(
    `${at.name} is gone`,
    async () => {
      if ((await api.get(resource, at)) !== undefined) throw new Error('still there');
    },
    WITHIN_MS,
  );
}

/** One condition of an object; empty when it has none of that type. */
export function condition(object: Loose, type: string): Loose {
  const list: Loose[] = object['status']?.conditions ?? [];
  return list.find((one) => one['type'] === type) ?? {};
}

export async function label(api: ApiClient, name: string, labels: Loose): Promise<void> {
  await api.patch(NAMESPACES, { name }, { kind: 'merge', body: { metadata: { labels } } });
}

const PLURALS: Readonly<Record<string, Resource>> = {
  Namespace: NAMESPACES,
  CustomResourceDefinition: CRDS,
  ServiceAccount: core('serviceaccounts'),
  ClusterRole: rbac('clusterroles'),
  ClusterRoleBinding: rbac('clusterrolebindings'),
  Role: rbac('roles'),
  RoleBinding: rbac('rolebindings'),
};

export function rbac(plural: string): Resource {
  return { group: 'rbac.authorization.k8s.io', version: 'v1', plural };
}

/** Applies what the manifests hold of namespaces, kinds, accounts and rights. */
async function install(api: ApiClient): Promise<void> {
  for (const file of globSync('manifests/*.yaml').toSorted()) {
    for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
      const object: Loose = document.toJS();
      const resource = PLURALS[object['kind']];
      if (resource !== undefined) await api.create(resource, object['metadata'].namespace, object);
    }
  }
}

async function furnish(api: ApiClient): Promise<void> {
  const make = async (resource: Resource, namespace: string | undefined, body: Loose) =>
    api.create<Loose>(resource, namespace, { apiVersion: 'v1', ...body });
  await install(api);
  await make(NAMESPACES, undefined, { kind: 'Namespace', metadata: { name: 'shop' } });
  const viewer = { kind: 'ServiceAccount', metadata: { name: 'viewer' } };
  await make(core('serviceaccounts'), SYSTEM, viewer);
  const taint = (key: string) => ({ key, effect: 'NoSchedule' });
  const spec = { taints: [taint('plumbline.dev/agent-not-ready'), taint('other')] };
  await make(core('nodes'), undefined, { kind: 'Node', metadata: { name: 'n1' }, spec });
  await api.create(PODS, CART.namespace, podBody(CART.name));
  await runPod(api, CART.namespace, CART.name, running('10.244.1.5'));
}

/** A kubeconfig with which a program is who it would be in its pod. */
async function configOf(api: ApiClient, server: ApiServer, account: string): Promise<string> {
  const { token } = await projectToken(api, { account, audience: API_AUDIENCE });
  const config: Loose = JSON.parse(readFileSync(server.kubeconfig, 'utf8'));
  config['users'][0].user = { token };
  const path = `${server.kubeconfig}-${account}`;
  writeFileSync(path, JSON.stringify(config));
  return path;
}

/** Everything started; it ends with the test. */
export async function startControllers(t: Test, programs: Programs | undefined) {
  if (programs === undefined) throw new Error('no programs');
  const store = await KubeStore.start(programs);
  t.teardown(async () => store.stop());
  const server = await store.serve();
  const api = server.client();
  t.teardown(() => api.close());
  await furnish(api);
  const config = await configOf(api, server, 'plumbline-controller');
  const replicas = [new Replica('a', config), new Replica('b', config)];
  for (const one of replicas) {
    one.start();
    t.teardown(async () => {
      if (!t.passing()) for (const line of one.complaints()) t.comment(`${one.name}: ${line}`);
      await one.end('SIGKILL');
      one.remove();
    });
  }
  for (const one of replicas) await one.ready();
  const holder = async (): Promise<string> => {
    const lease = await api.get<Loose>(LEASES, { namespace: SYSTEM, name: 'plumbline-controller' });
    return lease?.['spec'].holderIdentity ?? '';
  };
  /** The replica that leads, or the one that does not. */
  const pick = async (leads: boolean): Promise<Replica> => {
    const name = await holder();
    const found = replicas.find((one) => (one.name === name) === leads);
    if (found === undefined) throw new Error(`"${name}" leads`);
    return found;
  };
  await eventually('somebody leads', async () => pick(true), WITHIN_MS);
  const roots = async (): Promise<string[]> => {
    const found = await api.get<Loose>(CONFIG_MAPS, BUNDLE);
    return splitPem(found?.['data']['root-cert.pem'] ?? '');
  };
  const [follower, leader] = [await pick(false), await pick(true)];
  const front = await startFront([follower, leader]);
  t.teardown(() => front.stop());
  const { token } = await projectToken(api);
  const agent = await connectAgent(t, { port: front.port, node: 'n1', token }, roots);
  const podUid = (await api.get<Loose>(PODS, CART))?.['metadata'].uid;
  /** Lets the agent report what its proof has found of the pod. */
  const proof = (outcome: 'captured' | 'not-captured', reason = ''): void => {
    const base = { podUid, ...CART, family: 4 as const, outcome, reason, atMs: Date.now() };
    agent.client.reportProof(
      (['inbound', 'outbound'] as const).map((direction) => ({ ...base, direction })),
    );
  };
  /** Resolves with the pod once its condition has this status; undefined: no condition. */
  const captured = async (status: string | undefined): Promise<Loose> =>
    until(
      api,
      PODS,
      CART,
      (found) => condition(found, 'plumbline.dev/Captured')['status'] === status,
    );
  return {
    server,
    api,
    replicas,
    follower,
    leader,
    holder,
    pick,
    roots,
    token,
    ...agent,
    podUid,
    proof,
    captured,
  };
}

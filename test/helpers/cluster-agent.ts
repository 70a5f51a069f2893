/** An agent of a cluster in a test: a token as kubelet would project it, and a ControlClient with it. */
import type { Test } from 'tap';
import { ControlClient } from '#common/control/client.ts';
import type { ApiClient } from '../../controller/kube/api-client.ts';
import { PODS } from './api-server.ts';
import { Holder } from './control-rig.ts';
import { silent } from './silent-log.ts';

export const SYSTEM = 'plumbline-system';
export const AGENT = 'plumbline-node-agent';

export interface TokenOptions {
  readonly namespace?: string;
  readonly account?: string;
  readonly audience?: string;
  readonly node?: string;
  /** Whether it is bound to a pod. */
  readonly bound?: boolean;
}

let pods = 0;

/** A token of a new pod, and the pod's name. */
export async function projectToken(
  api: ApiClient,
  { namespace = SYSTEM, account = AGENT, audience = 'plumbline', ...rest }: TokenOptions = {},
): Promise<{ readonly token: string; readonly pod: string }> {
  const { node = 'n1', bound = true } = rest;
  pods += 1;
  const name = `agent-${pods}`;
  const { metadata } = await api.create<{ metadata: { uid: string } }>(PODS, namespace, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      nodeName: node,
      hostNetwork: true,
      serviceAccountName: account,
      containers: [{ name: 'one', image: 'none' }],
    },
  });
  const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name, uid: metadata.uid };
  const { status } = await api.request<{ status: { token: string } }>({
    method: 'POST',
    path: `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [audience], ...(bound ? { boundObjectRef } : {}) },
    },
  });
  return { token: status.token, pod: name };
}

/** Connects an agent of `node`, which trusts what `roots` resolves with. */
export async function connectAgent(
  t: Test,
  at: { readonly port: number; readonly node: string; readonly token: string },
  roots: () => Promise<readonly string[]>,
) {
  const held = new Holder();
  const trusts: number[] = [];
  const client = new ControlClient({
    url: `wss://127.0.0.1:${at.port}`,
    node: at.node,
    instance: `instance-${at.node}`,
    version: 'test',
    token: async () => at.token,
    roots,
    resume: () => (held.epoch === '' ? undefined : { epoch: held.epoch, version: held.version }),
    onUpdate: (update, epoch) => held.apply(update, epoch),
    onTrust: ({ generation }) => void trusts.push(generation),
    log: silent,
    timing: { firstRetryMs: 50 },
  });
  await client.start();
  t.teardown(async () => client.stop());
  return { client, held, trusts };
}

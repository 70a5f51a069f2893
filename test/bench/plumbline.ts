/**
 * Plumbline as a subject of the bench: a controller, two agents with their own iptables capture, mutual
 * TLS, a policy that has to be judged, metrics and access log on. Nothing is left out for speed.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ended, inNamespace, type Running, type Subject } from './subject.ts';
import {
  CLIENT,
  CLIENT_ADDRESS,
  NODE_A,
  NODE_A_ADDRESS,
  NODE_B,
  SERVER,
  SERVER_ADDRESS,
} from './world.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const READY_WITHIN_MS = 30_000;
/** By the kernel's leave a memory file system: keys are kept there, and nowhere else. */
const RUN = '/dev/shm';

const OBJECTS = `
apiVersion: v1
kind: Namespace
metadata: { name: bench, labels: { plumbline.dev/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Node
metadata: { name: node-a }
---
apiVersion: v1
kind: Node
metadata: { name: node-b }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: client, namespace: bench }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: server, namespace: bench }
---
apiVersion: v1
kind: Pod
metadata: { name: client, namespace: bench, labels: { app: client } }
spec:
  nodeName: node-a
  serviceAccountName: client
  containers: [{ name: main, command: ["true"] }]
---
apiVersion: v1
kind: Pod
metadata: { name: server, namespace: bench, labels: { app: server } }
spec:
  nodeName: node-b
  serviceAccountName: server
  containers: [{ name: main, command: ["true"] }]
---
apiVersion: plumbline.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: server, namespace: bench }
spec:
  selector: { matchLabels: { app: server } }
  action: ALLOW
  rules:
    - from: [{ source: { principals: ["cluster.local/ns/bench/sa/client"] } }]
---
apiVersion: plumbline.dev/v1alpha1
kind: PeerAuthentication
metadata: { name: strict, namespace: bench }
spec: { mtls: { mode: STRICT } }
`;

const PODS = [
  { name: 'client', node: 'node-a', address: CLIENT_ADDRESS, namespace: CLIENT },
  { name: 'server', node: 'node-b', address: SERVER_ADDRESS, namespace: SERVER },
] as const;

const AGENTS = [
  { node: 'node-a', namespace: NODE_A },
  { node: 'node-b', namespace: NODE_B },
] as const;

interface Desired {
  readonly pods: readonly { readonly podUid: string; readonly name: string }[];
}

/** One data worker per agent by default, as the machine has two cores; PLUMBLINE_WORKERS sets others. */
const WORKERS = process.env['PLUMBLINE_WORKERS'] ?? '1';

export const plumbline: Subject = {
  name: 'plumbline',
  missing: undefined,
  async start(directory, workers): Promise<Running> {
    const run = `${RUN}/plumb-bench-${randomUUID()}`;
    const tokens = AGENTS.map(({ node }) => ({ node, token: randomBytes(32).toString('hex') }));
    for (const path of ['mesh', 'controller', 'netns', ...AGENTS.map(({ node }) => node)]) {
      mkdirSync(`${run}/${path}`, { recursive: true, mode: 0o700 });
    }
    writeFileSync(`${run}/mesh/mesh.yaml`, OBJECTS);
    writeFileSync(`${run}/tokens`, tokens.map(({ node, token }) => `${node} ${token}\n`).join(''), {
      mode: 0o600,
    });
    const start = (namespace: string, name: string, args: readonly string[]) =>
      inNamespace(
        namespace,
        [
          process.execPath,
          '--disable-warning=ExperimentalWarning',
          `${ROOT}${args[0]}`,
          ...args.slice(1),
        ],
        `${directory}/${name}.log`,
        withoutNodeOptions(),
      );
    const controller = start(NODE_A, 'controller', [
      'controller/main.ts',
      '--directory',
      `${run}/mesh`,
      '--state-dir',
      `${run}/controller`,
      '--run-dir',
      `${run}/controller`,
      '--listen',
      `${NODE_A_ADDRESS}:15012`,
      '--tokens',
      `${run}/tokens`,
    ]);
    const children = [controller];
    try {
      const socket = `${run}/controller/controller.sock`;
      const desired = await eventually(async () =>
        ask<Desired>(socket, 'GET', '/v1/directory/desired?after=0'),
      );
      await postPods(socket, desired, `${run}/netns`);
      for (const [i, { node, namespace }] of AGENTS.entries()) {
        writeFileSync(`${run}/${node}/token`, tokens[i]?.token ?? '', { mode: 0o600 });
        children.unshift(
          start(namespace, node, [
            'node-agent/main.ts',
            '--node',
            node,
            '--controller',
            `wss://${NODE_A_ADDRESS}:15012`,
            '--controller-ca',
            `${run}/controller/ca/roots.pem`,
            '--token-file',
            `${run}/${node}/token`,
            '--netns-dir',
            `${run}/netns`,
            '--state-dir',
            `${run}/${node}`,
            '--run-dir',
            `${run}/${node}`,
            '--workers',
            String(workers ?? WORKERS),
          ]),
        );
      }
      for (const { node } of AGENTS)
        await eventually(async () => proven(`${run}/${node}/agent.sock`));
    } catch (error) {
      await Promise.all(children.map(ended));
      throw error;
    }
    return {
      pids: children
        .slice(0, AGENTS.length)
        .toReversed()
        .map(({ pid }) => pid ?? 0),
      async stop() {
        await Promise.all(children.map(ended));
        rmSync(run, { recursive: true });
      },
    };
  },
};

async function postPods(socket: string, desired: Desired, netnsDir: string): Promise<void> {
  const pods = desired.pods.map(({ podUid, name }) => {
    const pod = PODS.find((one) => one.name === name);
    if (pod === undefined) throw new Error(`the controller wants an unknown pod "${name}"`);
    symlinkSync(`/run/netns/${pod.namespace}`, `${netnsDir}/${podUid}`);
    return { podUid, addresses: [pod.address], phase: 'Running', ready: true, terminating: false };
  });
  await ask(socket, 'POST', '/v1/directory/runtime', { pods, gone: [] });
}

export async function proven(socket: string): Promise<void> {
  const status = await ask<{ podsLabelled: number; podsProven: number }>(socket, 'GET', '/version');
  if (status.podsLabelled !== 1 || status.podsProven !== 1)
    throw new Error(`not proven: ${JSON.stringify(status)}`);
}

/** Asks on a Unix socket and reads JSON; anything but 2xx is an error. */
export async function ask<T>(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<T> {
  const call = request({
    socketPath,
    method,
    path,
    headers: { host: 'localhost', 'content-type': 'application/json' },
  });
  call.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = await once(call, 'response');
  let content = '';
  for await (const chunk of response) content += String(chunk);
  if (response.statusCode >= 300)
    throw new Error(`${path} answered ${response.statusCode}: ${content}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the shape is that of our own programs
  return (content === '' ? undefined : JSON.parse(content)) as T;
}

export async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + READY_WITHIN_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

export function withoutNodeOptions(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...env } = process.env;
  return env;
}

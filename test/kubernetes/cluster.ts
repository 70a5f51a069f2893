/**
 * The test cluster as a scenario sees it: kubectl, waiting for a state, and faults of whole machines.
 *
 * Scenarios run in the network of the control plane (`cluster.sh in cp`), never against any other cluster:
 * the credentials are those of the test cluster, whatever KUBECONFIG says. Waits are for states, with
 * deadlines that a slow and busy machine meets.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';

const state = process.env['TESTBED_STATE'] ?? '';

/** Why a scenario is skipped, or false. */
export const needsCluster =
  state === '' ? 'needs the test cluster: run scripts/test-kubernetes.sh' : false;

/** The long forms of scenarios: ten minutes instead of one. */
export const isLong = process.env['TESTBED_LONG'] === '1';

const ROOT = new URL('../..', import.meta.url).pathname;
const PATIENCE_MS = 180_000;

/** Runs a program, and resolves with what it printed; what it said on standard error is the reason of a failure. */
export async function run(command: readonly string[], input = ''): Promise<string> {
  const [program = '', ...args] = command;
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(program, args, { cwd: ROOT, env, stdio: ['pipe', 'pipe', 'pipe'] });
  let [output, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  child.stdin.on('error', () => undefined); // it may end before it has read all
  child.stdin.end(input);
  const ended = Promise.withResolvers<number | null>();
  child.on('error', ended.reject);
  child.on('close', ended.resolve);
  const code = await ended.promise;
  if (code === 0) return output;
  throw new Error(`${command.slice(0, 8).join(' ')} ended with ${code}: ${errors}${output}`);
}

export async function kubectl(...args: readonly string[]): Promise<string> {
  return run(['kubectl', '--kubeconfig', `${state}/pki/admin.conf`, ...args]);
}

/** Applies objects as they are, server-side. */
export async function apply(...objects: readonly object[]): Promise<string> {
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
  const config = ['--kubeconfig', `${state}/pki/admin.conf`];
  return run(
    ['kubectl', ...config, 'apply', '--server-side', '--force-conflicts', '-f', '-'],
    list,
  );
}

/** A script of the test bed: `testbed('cut', 'n2')`. */
export async function testbed(...args: readonly string[]): Promise<string> {
  return run([`${ROOT}scripts/testbed/cluster.sh`, ...args]);
}

/** Runs a command in all namespaces of a node. */
export async function onNode(node: string, ...command: readonly string[]): Promise<string> {
  return testbed('enter', node, ...command);
}

let agent: Agent | undefined;

/** Asks the API server without the cost of a kubectl; fails on any status but 2xx. */
export async function get<T>(path: string): Promise<T> {
  agent ??= adminAgent();
  const answer = Promise.withResolvers<string>();
  const call = request(
    `https://10.250.0.10:6443${path}`,
    { agent, timeout: 10_000 },
    (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('error', answer.reject);
      response.on('end', () => {
        if (response.statusCode === 200) answer.resolve(text);
        else answer.reject(new Error(`${path} answered ${response.statusCode}: ${text}`));
      });
    },
  );
  call.on('timeout', () => call.destroy(new Error(`${path}: no answer within 10 s`)));
  call.on('error', answer.reject);
  call.end();
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the API server keeps to its schemas
  return JSON.parse(await answer.promise) as T;
}

function adminAgent(): Agent {
  const config: {
    readonly clusters: readonly { cluster: Record<string, string> }[];
    readonly users: readonly { user: Record<string, string> }[];
  } = JSON.parse(readFileSync(`${state}/pki/admin.conf`, 'utf8'));
  const bytes = (text = ''): Buffer => Buffer.from(text, 'base64');
  return new Agent({
    keepAlive: true,
    ca: bytes(config.clusters[0]?.cluster['certificate-authority-data']),
    cert: bytes(config.users[0]?.user['client-certificate-data']),
    key: bytes(config.users[0]?.user['client-key-data']),
  });
}

/** Tries until it does not throw; the last reason is the failure. */
export async function eventually<T>(
  what: string,
  attempt: () => Promise<T>,
  withinMs = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline)
        throw new Error(`not within ${withinMs / 1000} s: ${what}: ${String(error)}`, {
          cause: error,
        });
      await delay(200);
    }
  }
}

/** Waits until a condition of every object named holds, such as `rollout`, `Ready`. */
export async function rolledOut(namespace: string, ...workloads: readonly string[]): Promise<void> {
  for (const workload of workloads)
    await kubectl('-n', namespace, 'rollout', 'status', workload, `--timeout=${PATIENCE_MS}ms`);
}

/** Resolves when the API server answers that it is ready. */
export async function apiServerReady(): Promise<void> {
  await eventually('the API server is ready', async () => get('/api/v1/nodes?limit=1'));
}

/** Ends the API server, does something without it, and brings it back whatever happens. */
export async function withoutApiServer(work: () => Promise<void>): Promise<void> {
  await testbed('pause', 'cp', 'kube-apiserver');
  try {
    await work();
  } finally {
    await testbed('resume', 'cp', 'kube-apiserver');
    await apiServerReady();
  }
}

/** Resolves when a node has said so of itself after `since`, in the seconds of the API server. */
export async function nodeReady(node: string, since = 0): Promise<void> {
  await eventually(`node ${node} is ready`, async () => {
    const { status } = await get<NodeObject>(`/api/v1/nodes/${node}`);
    const ready = status.conditions.find(({ type }) => type === 'Ready');
    if (ready?.status !== 'True') throw new Error(`it is ${ready?.status}: ${ready?.message}`);
    if (Date.parse(ready.lastHeartbeatTime) < since) throw new Error('it has not spoken since');
  });
}

interface NodeObject {
  readonly status: {
    readonly conditions: readonly {
      readonly type: string;
      readonly status: string;
      readonly message: string;
      readonly lastHeartbeatTime: string;
    }[];
  };
}

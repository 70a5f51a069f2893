/**
 * The mesh in the test cluster: installed from the manifests as a user does it, and asked what it says.
 *
 * Agents are asked at their admin port, from the network of their node. What `access` finds is what an
 * operator finds: the log of the pod.
 */
import { closeNetns, openNetns } from '#common/sys/netns.ts';
import { getText } from '../helpers/pod-http.ts';
import { eventually, get, kubectl, onNode, rolledOut } from './cluster.ts';
import { pods, type Pod, type Scenario } from './scenario.ts';

export const SYSTEM = 'plumbline-system';
export const AMBIENT = { 'plumbline.dev/dataplane-mode': 'ambient' };
export const NODES = ['n1', 'n2'];

/** A line is written when its connection ends. */
const LOG_PATIENCE_MS = 30_000;
const AGENT = 'daemonset/plumbline-node-agent';
const CONTROLLER = 'deployment/plumbline-controller';

/** Installs the mesh where it is not installed yet, and waits until it works; returns what kubectl said. */
export async function install(): Promise<string> {
  const said = await kubectl('apply', '-f', 'manifests');
  await installed();
  return said;
}

/** Resolves when controller and agents are rolled out. */
export async function installed(): Promise<void> {
  await rolledOut(SYSTEM, CONTROLLER, AGENT);
}

export async function agents(): Promise<readonly Pod[]> {
  return pods(SYSTEM, 'app.kubernetes.io/name=plumbline-node-agent');
}

/** The nodes that have an agent, sorted. */
export async function nodesWithAgent(): Promise<readonly string[]> {
  return (await agents()).map(({ spec }) => spec.nodeName ?? '').toSorted(byText);
}

const byText = (a: string, b: string): number => (a < b ? -1 : 1);

export async function controllers(): Promise<readonly Pod[]> {
  return pods(SYSTEM, 'app.kubernetes.io/name=plumbline-controller');
}

/** The agent that serves a node. */
export async function agentOf(node: string): Promise<Pod> {
  const found = (await agents()).find(({ spec }) => spec.nodeName === node);
  if (found === undefined) throw new Error(`node ${node} has no agent`);
  return found;
}

/** Asks a port of a node from the node itself. */
export async function askNode(node: string, port: number, path: string): Promise<string> {
  const netns = openNetns(`/run/netns/${process.env['TESTBED_NAME'] ?? ''}-${node}`);
  try {
    return await getText(netns, { address: '127.0.0.1', port }, path);
  } finally {
    closeNetns(netns);
  }
}

export const adminOf = async (node: string, path: string): Promise<string> =>
  askNode(node, 15_000, path);

/** A row of an agent's proof. */
interface PodCapture {
  readonly podUid: string;
  readonly namespace: string;
  readonly name: string;
  readonly joined: boolean;
  readonly problem: string;
  readonly capture: { readonly proven: boolean; readonly reason: string } | null;
}

export async function captures(node: string): Promise<readonly PodCapture[]> {
  const rows: readonly PodCapture[] = JSON.parse(await adminOf(node, '/proof'));
  return rows;
}

/** Resolves when every running pod of a scenario is proven to be captured. */
export async function proven(scenario: Scenario): Promise<void> {
  await provenPods(scenario.namespace);
}

export async function provenPods(namespace: string): Promise<void> {
  await eventually(`all pods of ${namespace} are proven`, async () => {
    const known = (await Promise.all(NODES.map(captures))).flat();
    for (const { metadata } of await pods(namespace, '')) {
      const row = known.find(({ podUid }) => podUid === metadata.uid);
      if (row?.capture?.proven !== true)
        throw new Error(`${metadata.name}: ${row?.capture?.reason ?? row?.problem ?? 'unknown'}`);
    }
  });
}

/** Resolves when no pod of a scenario is captured any more. */
export async function released(scenario: Scenario): Promise<void> {
  await eventually(`no pod of ${scenario.namespace} is captured`, async () => {
    const known = (await Promise.all(NODES.map(captures))).flat();
    const held = known.find((row) => row.namespace === scenario.namespace && row.joined);
    if (held !== undefined) throw new Error(`${held.name} is`);
  });
}

export type LogLine = Readonly<Record<string, unknown>>;

/** Lines of the access log of a node's agent that have these fields; a value may be an expression. */
export async function access(node: string, fields: LogLine): Promise<readonly LogLine[]> {
  const { metadata } = await agentOf(node);
  const text = await kubectl('-n', SYSTEM, 'logs', metadata.name, '--tail=-1');
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line): LogLine => JSON.parse(line))
    .filter((line) => line['log'] === 'access')
    .filter((line) => Object.entries(fields).every(([key, value]) => isLike(line[key], value)));
}

function isLike(found: unknown, wanted: unknown): boolean {
  return wanted instanceof RegExp ? wanted.test(String(found)) : found === wanted;
}

/** Waits for a line of the access log. */
export async function accessLine(node: string, fields: LogLine): Promise<LogLine> {
  const what = Object.entries(fields).map(([key, value]) => `${key}=${String(value)}`);
  return eventually(
    `a line in the access log of ${node} with ${what.join(' ')}`,
    async () => {
      const line = (await access(node, fields)).at(-1);
      if (line === undefined) throw new Error('there is none');
      return line;
    },
    LOG_PATIENCE_MS,
  );
}

/** What a node's file system and network hold of the mesh: empty on a node that never had it. */
export async function tracesOn(node: string): Promise<string> {
  return onNode(
    node,
    'sh',
    '-c',
    // The two directories themselves are the kubelet's: it made them, and mounted them into the agent.
    `find /var/lib/plumbline /run/plumbline -mindepth 1 2>/dev/null
     find /opt/cni/bin /etc/cni/net.d -name '*plumb*'
     grep -l plumbline /etc/cni/net.d/* || true
     for pin in /run/netns/*; do
       nsenter --net="$pin" sh -c 'iptables-save; ip6tables-save; ip rule; ipset list -n' 2>/dev/null | grep -i plumb
     done
     { iptables-save; ip6tables-save; ipset list -n; } 2>/dev/null | grep -i plumb || true`,
  );
}

/** Labels a namespace so that its pods join, or leave with undefined. */
export async function enrol(scenario: Scenario, mode: 'ambient' | undefined): Promise<void> {
  const label = `plumbline.dev/dataplane-mode${mode === undefined ? '-' : `=${mode}`}`;
  await kubectl('label', 'namespace', scenario.namespace, label, '--overwrite');
}

/** Objects of a kind that have names of ours. */
export async function clusterObjects(path: string): Promise<readonly string[]> {
  const { items } = await get<{ readonly items: readonly { metadata: { name: string } }[] }>(path);
  return items.map(({ metadata }) => metadata.name).filter((name) => name.includes('plumbline'));
}

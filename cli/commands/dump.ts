/**
 * `plumb dump`: what the controller holds, what one agent was told (`--node`), or what only agents
 * know: their certificates and live connections.
 */
import { at, listAt } from '../text.ts';
import type { MeshClient } from './mesh-client.ts';
import { rowsOf } from './mesh-client.ts';
import { render } from './output.ts';
import type { Column, Format } from './output.ts';

export const KINDS = ['workloads', 'services', 'policies', 'certificates', 'connections'] as const;
export type Kind = (typeof KINDS)[number];

const field = (title: string, path: string): Column => ({ title, of: (row) => at(row, path) });

const TABLES: Readonly<Record<Kind, readonly Column[]>> = {
  workloads: [
    field('NAMESPACE', 'namespace'),
    field('WORKLOAD', 'name'),
    field('NODE', 'node'),
    field('ADDRESSES', 'addresses'),
    field('SERVICE ACCOUNT', 'serviceAccount'),
    field('TUNNEL', 'tunnel'),
    field('HEALTH', 'health'),
    field('POLICIES', 'policies'),
  ],
  services: [
    field('NAMESPACE', 'namespace'),
    field('SERVICE', 'name'),
    field('HOST NAME', 'hostname'),
    field('ADDRESSES', 'addresses'),
    {
      title: 'PORTS',
      of: (row) => listAt(row, 'ports').map(portOf).join(','),
    },
    field('BALANCING', 'loadBalancing.algorithm'),
    field('MODE', 'loadBalancing.mode'),
  ],
  policies: [
    field('LAYER', 'layer'),
    field('NAMESPACE', 'namespace'),
    field('POLICY', 'name'),
    field('SCOPE', 'scope'),
    field('ACTION', 'action'),
    field('DRY RUN', 'dryRun'),
    { title: 'RULES', of: (row) => String(listAt(row, 'rules').length) },
  ],
  certificates: [
    field('NODE', 'node'),
    field('IDENTITY', 'identity'),
    field('STATE', 'state'),
    { title: 'UNTIL', of: (row) => when(at(row, 'notAfterMs')) },
    { title: 'RENEWS', of: (row) => when(at(row, 'renewAtMs')) },
    { title: 'ROOT', of: (row) => at(row, 'authority').slice(0, 16) },
    field('LAST ERROR', 'lastError'),
  ],
  connections: [
    field('NODE', 'node'),
    field('DIRECTION', 'direction'),
    { title: 'FROM', of: (row) => party(row, 'source') },
    { title: 'TO', of: (row) => party(row, 'destination') },
    field('SECURITY', 'security'),
    field('SENT', 'bytesSent'),
    field('RECEIVED', 'bytesReceived'),
  ],
};

export interface DumpOptions {
  readonly kind: Kind;
  readonly node: string | undefined;
  readonly namespace: string | undefined;
  readonly format: Format;
}

export async function dump(client: MeshClient, options: DumpOptions): Promise<string> {
  const { kind, node, namespace, format } = options;
  const isAgents = kind === 'certificates' || kind === 'connections';
  const rows =
    isAgents || node !== undefined
      ? await agentRows(client, kind, node)
      : rowsOf(await client.controller(`/v1/${kind}`));
  const wanted = rows.filter((row) => namespace === undefined || isIn(row, namespace));
  const sorted = wanted.toSorted((a, b) => compare(keyOf(a), keyOf(b)));
  return render(sorted, TABLES[kind], format);
}

/** A target port that is a name differs from workload to workload. */
function portOf(port: unknown): string {
  const target = at(port, 'targetPort');
  return `${at(port, 'port')}→${target === '0' ? `"${at(port, 'name')}"` : target}`;
}

/** A workload has a node of its own, which is not that of the agent who tells of it. */
async function agentRows(
  client: MeshClient,
  kind: Kind,
  node: string | undefined,
): Promise<Readonly<Record<string, unknown>>[]> {
  const agents = client.agents(node);
  if (kind === 'certificates' || kind === 'connections') return client.rows(agents, `/${kind}`);
  const answers = await Promise.all(agents.map(async (agent) => client.agent(agent, `/${kind}`)));
  return answers.flatMap(rowsOf);
}

function isIn(row: unknown, namespace: string): boolean {
  const identity = at(row, 'identity');
  if (identity !== '') return identity.includes(`/ns/${namespace}/`);
  return [
    at(row, 'namespace'),
    at(row, 'source.namespace'),
    at(row, 'destination.namespace'),
  ].includes(namespace);
}

function keyOf(row: unknown): string {
  return [at(row, 'node'), at(row, 'namespace'), at(row, 'identity'), at(row, 'name')].join('|');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function party(row: unknown, side: 'source' | 'destination'): string {
  const address = at(row, `${side}.address`);
  const where = `${address.includes(':') ? `[${address}]` : address}:${at(row, `${side}.port`)}`;
  const workload = at(row, `${side}.workload`);
  return workload === '' ? where : `${at(row, `${side}.namespace`)}/${workload} ${where}`;
}

function when(ms: string): string {
  const time = Number(ms);
  return Number.isFinite(time) && time > 0 ? new Date(time).toISOString().slice(0, 19) : '';
}

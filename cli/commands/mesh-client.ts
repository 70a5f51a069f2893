/**
 * The programs of one running mesh, as the commands ask them. What they answer is shown as it came,
 * so nothing here depends on fields beyond those that a table names.
 */
import { MeshError } from '#common/errors.ts';
import { findMesh } from '../mesh-file.ts';
import type { AgentEntry, MeshFile } from '../mesh-file.ts';
import { at } from '../text.ts';
import { callSocket } from '../unix-http.ts';

/** A row of an agent's answer, and whose it is. */
export type NodeRow = Readonly<Record<string, unknown>> & { readonly node: string };

export class MeshClient {
  readonly mesh: MeshFile;

  constructor(name: string | undefined) {
    this.mesh = findMesh(name);
  }

  async controller(path: string, method: 'GET' | 'POST' = 'GET'): Promise<unknown> {
    const { socket } = this.mesh.controller;
    const peer = 'the controller';
    return parse(await callSocket({ socket, path, method, peer, code: 'CONTROLLER_UNREACHABLE' }));
  }

  async agent({ node, socket }: AgentEntry, path: string): Promise<unknown> {
    const peer = `the agent of ${node}`;
    return parse(await callSocket({ socket, path, peer, code: 'AGENT_UNREACHABLE' }));
  }

  /** All agents, or the one of `node`. */
  agents(node?: string): readonly AgentEntry[] {
    if (node === undefined) return this.mesh.agents;
    const found = this.mesh.agents.filter((agent) => agent.node === node);
    if (found.length > 0) return found;
    const known = this.mesh.agents.map((agent) => agent.node).join(', ');
    throw new MeshError('CONFIG_INVALID', `Cannot find the node "${node}": there are ${known}`);
  }

  /** Puts one question to these agents and joins their lists. */
  async rows(agents: readonly AgentEntry[], path: string): Promise<NodeRow[]> {
    const answers = await Promise.all(
      agents.map(async (agent) => {
        const answer = await this.agent(agent, path);
        return rowsOf(answer).map((row) => ({ ...row, node: agent.node }));
      }),
    );
    return answers.flat();
  }

  /** Each agent's own summary, or why there is none. */
  async summaries(): Promise<NodeRow[]> {
    return Promise.all(
      this.mesh.agents.map(async (agent) => {
        try {
          const [row] = rowsOf([await this.agent(agent, '/version')]);
          return { ...row, node: agent.node };
        } catch (error) {
          const message = error instanceof Error ? error.message : String(error);
          return { node: agent.node, ready: false, problem: message };
        }
      }),
    );
  }

  /** A pod by `namespace/name`, by its name alone, or by what stands before the number in it. */
  async findPod(name: string): Promise<NodeRow> {
    const rows = await this.rows(this.mesh.agents, '/proof');
    const full = (row: NodeRow): string => `${at(row, 'namespace')}/${at(row, 'name')}`;
    const isSame = (text: string): boolean => text === name || text.endsWith(`/${name}`);
    const exact = rows.filter((row) => isSame(full(row)));
    const found =
      exact.length > 0 ? exact : rows.filter((row) => isSame(full(row).replace(/-\d+$/, '')));
    const [first] = found;
    if (first !== undefined && new Set(found.map((row) => at(row, 'namespace'))).size === 1) {
      return first;
    }
    const known = rows.map(full).toSorted().join(', ');
    const why = first === undefined ? `there are ${known}` : 'it is in several namespaces';
    throw new MeshError('CONFIG_INVALID', `Cannot find the pod "${name}": ${why}`);
  }
}

export function rowsOf(answer: unknown): Readonly<Record<string, unknown>>[] {
  if (!Array.isArray(answer)) return [];
  return answer
    .filter((row: unknown) => typeof row === 'object' && row !== null)
    .map((row: object) => ({ ...row }));
}

function parse(body: string): unknown {
  return JSON.parse(body);
}

/**
 * What a running `plumb up` does on request of the other commands: it listens on a socket of its own.
 *
 * The socket stands in a directory that is root's alone.
 */
import { AdminServer, json } from '#common/admin.ts';
import type { AdminRoute, Reply } from '#common/admin.ts';
import type { Logger } from '#common/log.ts';
import type { LocalNode } from './node.ts';
import type { RunDir } from './run-dir.ts';

export interface Replaced {
  readonly node: string;
  readonly before: number;
  readonly after: number;
  readonly ms: number;
}

export function controlSocketOf({ memory }: RunDir): string {
  return `${memory}/up.sock`;
}

/** `nodes` are those that there are when somebody asks. */
export function controlServer(
  dir: RunDir,
  nodes: () => readonly LocalNode[],
  log: Logger,
): AdminServer {
  const replace: AdminRoute = {
    method: 'POST',
    path: '/v1/agents/replace',
    about: 'replaces the agent of one node, or of all, one after the other',
    answer: async ({ query }): Promise<Reply> => {
      const name = query.get('node');
      const all = nodes();
      const wanted = name === null ? all : all.filter(({ space }) => space.name === name);
      if (wanted.length === 0) {
        const known = all.map(({ space }) => space.name).join(', ');
        return { status: 404, body: `there is no node "${name ?? ''}"; there are ${known}\n` };
      }
      const replaced: Replaced[] = [];
      for (const node of wanted) replaced.push(await replaceOne(node));
      return json(replaced);
    },
  };
  return new AdminServer({
    name: 'up',
    log,
    routes: [replace],
    listen: [{ path: controlSocketOf(dir) }],
  });
}

async function replaceOne({ agent, space }: LocalNode): Promise<Replaced> {
  const before = agent.pid;
  const since = performance.now();
  await agent.replace();
  const ms = Math.round(performance.now() - since);
  return { node: space.name, before, after: agent.pid, ms };
}

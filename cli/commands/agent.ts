/**
 * `plumb agent replace`: a successor for the agent of a node, or of every node, one after the other.
 *
 * The `plumb up` that runs the mesh starts it; connections go over to it (docs/operations.md).
 */
import { EXIT_OK } from '../exit-codes.ts';
import { at, renderTable } from '../text.ts';
import { callSocket } from '../unix-http.ts';
import type { MeshClient } from './mesh-client.ts';
import { rowsOf } from './mesh-client.ts';
import { renderValue } from './output.ts';
import type { Format } from './output.ts';
import type { Answer } from './status.ts';

/** One after the other, each with its start and its drain. */
const TIMEOUT_MS = 600_000;

export async function replaceAgent(
  { mesh }: MeshClient,
  node: string | undefined,
  format: Format,
): Promise<Answer> {
  const query = node === undefined ? '' : `?node=${encodeURIComponent(node)}`;
  const body = await callSocket({
    socket: mesh.socket,
    method: 'POST',
    path: `/v1/agents/replace${query}`,
    timeoutMs: TIMEOUT_MS,
    peer: 'plumb up',
    code: 'CONTROLLER_UNREACHABLE',
  });
  const answer: unknown = JSON.parse(body);
  if (format !== 'table') return { text: renderValue(answer, format), exitCode: EXIT_OK };
  const rows = rowsOf(answer).map((row) => [
    at(row, 'node'),
    at(row, 'before'),
    at(row, 'after'),
    `${(Number(at(row, 'ms')) / 1000).toFixed(1)} s`,
  ]);
  const text = renderTable([['NODE', 'BEFORE', 'AFTER', 'TOOK'], ...rows]);
  return { text, exitCode: EXIT_OK };
}

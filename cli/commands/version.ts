/** `plumb version`: of this program and, where a mesh runs, of its programs. */
import { productVersion } from '#common/version.ts';
import { at, renderTable } from '../text.ts';
import { MeshClient } from './mesh-client.ts';
import { renderValue } from './output.ts';
import type { Format } from './output.ts';

export async function version(mesh: string | undefined, format: Format): Promise<string> {
  const rows = [{ program: 'plumb', version: productVersion() }, ...(await running(mesh))];
  if (format !== 'table') return renderValue(rows, format);
  return renderTable([['PROGRAM', 'VERSION'], ...rows.map((row) => [row.program, row.version])]);
}

interface Row {
  readonly program: string;
  readonly version: string;
}

/** No mesh is no error, unless one was named. */
async function running(mesh: string | undefined): Promise<Row[]> {
  let client: MeshClient;
  try {
    client = new MeshClient(mesh);
  } catch (error) {
    if (mesh !== undefined) throw error;
    return [];
  }
  const controller = at(await client.controller('/v1/version'), 'version');
  const agents = await client.summaries();
  return [
    { program: `controller of ${client.mesh.name}`, version: controller },
    ...agents.map((agent) => ({
      program: `agent of ${agent.node}`,
      version: at(agent, 'version') || at(agent, 'problem'),
    })),
  ];
}

/**
 * What a running `plumb up` writes down about itself, and how the other commands find it.
 *
 * The file is replaced as a whole, so a reader sees one state or the next. A mesh whose process is
 * gone (killed) is not running, whatever its file says.
 */
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { decodeText, integer, list, matching, object, text } from '#common/control/decode.ts';
import { MeshError } from '#common/errors.ts';

export const RUN_ROOT = '/run/plumbline';

export interface AgentEntry {
  readonly node: string;
  /** 0 while there is none. */
  readonly pid: number;
  readonly socket: string;
}

export interface MeshFile {
  readonly name: string;
  readonly directory: string;
  readonly pid: number;
  /** Of that process: field 22 of /proc/PID/stat. */
  readonly started: string;
  readonly logs: string;
  /** Of `plumb up` itself. */
  readonly socket: string;
  readonly controller: { readonly pid: number; readonly socket: string };
  readonly agents: readonly AgentEntry[];
}

const pid = integer(0, 1 << 30);
const path = text(4096);
const decoder = object<MeshFile>({
  name: text(64),
  directory: path,
  pid,
  started: matching(/^\d{1,20}$/, 'a start time'),
  logs: path,
  socket: path,
  controller: object<MeshFile['controller']>({ pid, socket: path }),
  agents: list(object<AgentEntry>({ node: text(253), pid, socket: path }), 1024),
});

export function writeMeshFile(file: string, mesh: MeshFile): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(mesh, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Finds the mesh of this name or, without one, the only mesh that runs. */
export function findMesh(name: string | undefined, root = RUN_ROOT): MeshFile {
  const running = runningMeshes(root);
  const names = running.map((mesh) => mesh.name).join(', ');
  if (name !== undefined) {
    const found = running.find((mesh) => mesh.name === name);
    if (found !== undefined) return found;
    const others = names === '' ? 'no mesh is running' : `running: ${names}`;
    throw new MeshError('CONTROLLER_UNREACHABLE', `Cannot find the mesh "${name}": ${others}`);
  }
  const [only, ...more] = running;
  if (only === undefined) {
    const hint = process.getuid?.() === 0 ? 'start one with: plumb up DIR' : 'are you root?';
    throw new MeshError('CONTROLLER_UNREACHABLE', `Cannot find a mesh: none is running; ${hint}`);
  }
  if (more.length > 0) {
    throw new MeshError('CONFIG_INVALID', `Cannot choose a mesh: use --mesh with one of ${names}`);
  }
  return only;
}

function runningMeshes(root: string): MeshFile[] {
  let names: string[];
  try {
    names = readdirSync(root).filter((entry) => !entry.startsWith('.'));
  } catch {
    return []; // Never used, or not ours to look at.
  }
  return names
    .map((entry) => readMeshFile(`${root}/${entry}/mesh.json`))
    .filter((mesh) => mesh !== undefined && isRunning(mesh))
    .filter((mesh) => mesh !== undefined);
}

function readMeshFile(file: string): MeshFile | undefined {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch {
    return undefined; // A mesh that is just starting, or gone.
  }
  return decodeText(content, { what: `"${file}"`, decoder, maxLength: 1 << 20 });
}

function isRunning(mesh: MeshFile): boolean {
  try {
    const stat = readFileSync(`/proc/${mesh.pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] === mesh.started;
  } catch {
    return false;
  }
}

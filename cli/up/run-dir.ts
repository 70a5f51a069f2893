/**
 * Where a running mesh keeps its files: /run/plumbline/NAME, for root alone.
 *
 * One `plumb up` owns a name at a time. Whoever was killed leaves its directory behind; the next one
 * ends the processes listed there, removes the namespaces and files, and starts from nothing.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { MeshError } from '#common/errors.ts';
import { RUN_ROOT } from '../mesh-file.ts';
import { run } from './command.ts';
import { isAlive, killAll, markOf, processesIn, readProcessList } from './processes.ts';
import type { ProcessMark } from './processes.ts';

const NETNS_DIR = '/run/netns';
const MEMORY = '512m';
const NAME = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;

/** The paths of one mesh. */
export interface RunDir {
  readonly name: string;
  readonly path: string;
  /** What the commands of `plumb` read to find the mesh. */
  readonly meshFile: string;
  readonly processFile: string;
  readonly logs: string;
  readonly hosts: string;
  /** One file for each pod: its network namespace. */
  readonly netns: string;
  /** A memory file system of its own, for keys and sockets: /run may be on a disk. */
  readonly memory: string;
}

export function runDirOf(name: string, root = RUN_ROOT): RunDir {
  if (!NAME.test(name)) {
    throw new MeshError(
      'CONFIG_INVALID',
      `Cannot name a mesh "${name}": expected at most 32 of a-z, 0-9 and -`,
    );
  }
  const path = `${root}/${name}`;
  return {
    name,
    path,
    meshFile: `${path}/mesh.json`,
    processFile: `${path}/processes`,
    logs: `${path}/logs`,
    hosts: `${path}/hosts`,
    netns: `${path}/netns`,
    memory: `${path}/memory`,
  };
}

/** The name for a mesh whose directory is `directory`: its last part, in letters that are allowed. */
export function meshNameFor(directory: string): string {
  const last = directory.split('/').findLast((part) => part !== '') ?? '';
  const name = last
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 32)
    .replaceAll(/^-+|-+$/g, '');
  return name === '' ? 'mesh' : name;
}

/** Network namespaces of a mesh are named so; a mesh's name has no dot, so none is taken for two. */
export function netnsPrefix(name: string): string {
  return `plumb-${name}.`;
}

export interface Leftovers {
  readonly processes: number;
  readonly namespaces: number;
}

/** Makes the directory ours; cleans up first if its owner was killed. */
export async function claim(dir: RunDir): Promise<Leftovers | undefined> {
  let left: Leftovers | undefined;
  while (!tryClaim(dir)) {
    const owner = readOwner(dir);
    if (owner !== undefined && isAlive(owner)) {
      throw new MeshError(
        'CONFIG_INVALID',
        `Cannot start the mesh "${dir.name}": it is up already (pid ${owner.pid}); end that one, or use --name`,
      );
    }
    left = await cleanUp(dir);
  }
  // The files may have been removed by hand, and the namespaces not.
  if (namespacesOf(dir.name).length > 0) left = await removeNamespaces(dir.name);
  await run('mount', ['-t', 'tmpfs', '-o', `size=${MEMORY},mode=0700`, 'plumbline', dir.memory]);
  return left;
}

/** Ends every process of the mesh and removes its namespaces and files. */
export async function cleanUp(dir: RunDir): Promise<Leftovers> {
  const known = readProcessList(dir.processFile).filter(isAlive);
  await killAll(known);
  const left = await removeNamespaces(dir.name);
  if (isMountPoint(dir.memory)) await run('umount', ['--lazy', dir.memory]);
  rmSync(dir.path, { recursive: true, force: true });
  return { processes: known.length + left.processes, namespaces: left.namespaces };
}

/**
 * Ends what lives in the mesh's namespaces and removes them. A process that was started in the
 * moment of the kill is on no list, but it can only be in there.
 */
async function removeNamespaces(name: string): Promise<Leftovers> {
  const spaces = namespacesOf(name);
  const inside = processesIn(spaces.map((space) => `${NETNS_DIR}/${space}`));
  await killAll(inside);
  for (const space of spaces) await run('ip', ['netns', 'delete', space]);
  return { processes: inside.length, namespaces: spaces.length };
}

/** Lists the network namespaces that belong to a mesh. */
export function namespacesOf(name: string): string[] {
  try {
    return readdirSync(NETNS_DIR).filter((space) => space.startsWith(netnsPrefix(name)));
  } catch {
    return []; // No namespace was ever made on this machine.
  }
}

/** A rename puts the directory in place with its owner's mark in it, or fails as it is taken. */
function tryClaim(dir: RunDir): boolean {
  const self = markOf(process.pid);
  const root = dir.path.slice(0, dir.path.lastIndexOf('/'));
  const staged = `${root}/.${dir.name}.${process.pid}`;
  rmSync(staged, { recursive: true, force: true });
  for (const folder of ['logs', 'hosts', 'netns', 'memory']) {
    mkdirSync(`${staged}/${folder}`, { recursive: true, mode: 0o700 });
  }
  writeFileSync(`${staged}/owner`, `${self?.pid ?? 0} ${self?.started ?? 0}\n`, { mode: 0o600 });
  try {
    renameSync(staged, dir.path);
    return true;
  } catch (error) {
    rmSync(staged, { recursive: true, force: true });
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
}

function isMountPoint(path: string): boolean {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  return mounts.split('\n').some((line) => line.split(' ')[4] === path);
}

function readOwner(dir: RunDir): ProcessMark | undefined {
  try {
    const [pid = '', started = ''] = readFileSync(`${dir.path}/owner`, 'utf8').trim().split(' ');
    return { pid: Number(pid), started };
  } catch {
    return undefined;
  }
}

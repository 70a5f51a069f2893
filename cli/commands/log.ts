/**
 * `plumb log`: the last lines of a program of the mesh, of a container, or of all access logs.
 *
 * Reads the files that `plumb up` keeps; with `follow` it goes on until it is interrupted. With a
 * level it changes what a node's agent says from now on instead.
 */
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '#common/errors.ts';
import type { MeshFile } from '../mesh-file.ts';
import { callSocket } from '../unix-http.ts';
import type { MeshClient } from './mesh-client.ts';

export interface LogOptions {
  /** `controller`, `agent/NODE`, `NAMESPACE/POD[/CONTAINER]`; undefined for all access logs. */
  readonly target: string | undefined;
  readonly lines: number;
  readonly follow: boolean;
  readonly print: (text: string) => void;
}

const MOST_BYTES = 16 << 20;
const LOOK_EVERY_MS = 200;

interface Source {
  readonly path: string;
  readonly keeps: (line: string) => boolean;
}

export async function showLog({ mesh }: MeshClient, options: LogOptions): Promise<void> {
  const readers = sourcesOf(mesh, options.target).map((source) => new Tail(source));
  const first = readers.flatMap((reader) => reader.more());
  // Lines of several agents: every JSON line begins with its time, so text order is time order.
  const ordered = readers.length > 1 ? first.toSorted() : first;
  for (const line of ordered.slice(-options.lines)) options.print(`${line}\n`);
  while (options.follow) {
    await delay(LOOK_EVERY_MS);
    for (const line of readers.flatMap((reader) => reader.more())) options.print(`${line}\n`);
  }
}

/** Sets the log level of the agents of these nodes. */
export async function setLogLevel(
  client: MeshClient,
  node: string | undefined,
  level: string,
): Promise<void> {
  for (const { node: name, socket } of client.agents(node)) {
    await callSocket({
      socket,
      method: 'POST',
      path: `/logging?${new URLSearchParams({ level }).toString()}`,
      peer: `the agent of ${name}`,
      code: 'AGENT_UNREACHABLE',
    });
  }
}

function sourcesOf(mesh: MeshFile, target: string | undefined): Source[] {
  const names = readdirSync(mesh.logs).filter((name) => name.endsWith('.log'));
  const found = names.filter((name) => isWanted(name, target));
  const isAccess = (line: string): boolean => line.includes('"log":"access"');
  if (found.length > 0) {
    return found.map((name) => ({
      path: `${mesh.logs}/${name}`,
      keeps: target === undefined ? isAccess : () => true,
    }));
  }
  const known = names.map((name) => targetOf(name)).join(', ');
  throw new MeshError(
    'CONFIG_INVALID',
    `Cannot find a log of "${target ?? ''}": there are ${known}`,
  );
}

function isWanted(name: string, target: string | undefined): boolean {
  if (target === undefined) return name.startsWith('agent.');
  const own = targetOf(name);
  return own === target || own.startsWith(`${target}/`);
}

/** The name that people use for a file: `agent.node-a.log` is agent/node-a. */
function targetOf(name: string): string {
  const [program = '', ...rest] = name.replace(/\.log$/, '').split('.');
  if (program === 'controller') return program;
  if (program === 'agent') return `agent/${rest.join('.')}`;
  // A pod's name may have dots; its namespace and container may not.
  const [namespace = '', ...more] = rest;
  return `${namespace}/${more.slice(0, -1).join('.')}/${more.at(-1) ?? ''}`;
}

class Tail {
  readonly #source: Source;
  #offset = 0;
  #rest = '';

  constructor(source: Source) {
    this.#source = source;
    this.#offset = Math.max(0, statSync(source.path).size - MOST_BYTES);
  }

  /** The whole lines that came since it was last asked. */
  more(): string[] {
    const text = this.#rest + this.#read();
    const lines = text.split('\n');
    this.#rest = lines.pop() ?? '';
    return lines.filter((line) => this.#source.keeps(line));
  }

  #read(): string {
    const { path } = this.#source;
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size < this.#offset) this.#offset = 0; // A new file has begun.
    if (size === this.#offset) return '';
    const fd = openSync(path, 'r');
    try {
      const bytes = Buffer.alloc(Math.min(size - this.#offset, MOST_BYTES));
      const length = readSync(fd, bytes, 0, bytes.length, this.#offset);
      this.#offset += length;
      return bytes.toString('utf8', 0, length);
    } finally {
      closeSync(fd);
    }
  }
}

/**
 * What can be measured: a pair of proxies between client and server, started and stopped by name.
 *
 * Every subject gets the same path: the client connects to the server's own address, an iptables
 * REDIRECT inside the client's namespace hands the connection to the first proxy, mutual TLS crosses
 * the nodes, the second proxy connects to the application.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { fill, peerOf, type PeerDescription } from './peer.ts';
import { CLIENT, run, SERVER, SERVER_ADDRESS } from './world.ts';

export interface Running {
  /** Every process whose CPU and memory count, the client's side first. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

export interface Subject {
  readonly name: string;
  /** Undefined when it is not installed; then the reason stands here. */
  readonly missing: string | undefined;
  /** `workers` is for Plumbline: data workers of an agent, where a case asks for a number. */
  start(directory: string, workers?: number): Promise<Running>;
}

const HERE = fileURLToPath(new URL('.', import.meta.url));
/** Port of the load server behind every subject. */
export const APP_PORT = 7000;
const LISTEN_PORT = 20_000;
const MTLS_PORT = 21_000;

export const direct: Subject = {
  name: 'direct',
  missing: undefined,
  start: async () => ({ pids: [], stop: async () => {} }),
};

/** A pair of other people's proxies, as a file describes it: JSON, or a module that exports `peer`. */
export async function peerFrom(path: string): Promise<Subject> {
  const file = resolve(path);
  const raw: unknown = file.endsWith('.json')
    ? JSON.parse(readFileSync(file, 'utf8'))
    : exported(await import(pathToFileURL(file).href));
  return pair(peerOf(raw, path), dirname(file));
}

function exported(module: unknown): unknown {
  return typeof module === 'object' && module !== null && 'peer' in module
    ? module.peer
    : undefined;
}

/** The three that we are judged by. */
export const peers = (): Promise<Subject[]> =>
  Promise.all(['haproxy', 'nginx', 'envoy'].map((name) => peerFrom(`${HERE}peers/${name}.json`)));

function pair(description: PeerDescription, templates: string): Subject {
  const { name, install } = description;
  const program = programPath(description.program);
  return {
    name,
    missing: program === undefined ? install : undefined,
    async start(directory) {
      const children: ChildProcess[] = [];
      for (const [side, namespace] of [
        ['in', SERVER],
        ['out', CLIENT],
      ] as const) {
        const { command, config } = description[side];
        const written = `${directory}/${name}.${side}${extname(config ?? '')}`;
        const values = { ...placeholders(directory), PROGRAM: program ?? '', CONFIG: written };
        if (config !== undefined)
          writeFileSync(written, fill(readFileSync(resolve(templates, config), 'utf8'), values));
        const words = command.map((word) => fill(word, values));
        children.unshift(inNamespace(namespace, words, `${written}.log`));
        await listening(namespace, side === 'in' ? MTLS_PORT : LISTEN_PORT);
      }
      redirect('-A');
      return {
        pids: children.map(({ pid }) => pid ?? 0),
        async stop() {
          redirect('-D');
          await Promise.all(children.map(ended));
        },
      };
    },
  };
}

/** Where a program is: by a path, a variable of the environment, or PATH. */
function programPath(program: string): string | undefined {
  const named = program.startsWith('$') ? (process.env[program.slice(1)] ?? '') : program;
  const places = named.includes('/')
    ? [named]
    : (process.env['PATH'] ?? '').split(':').map((path) => `${path}/${named}`);
  return named === '' ? undefined : places.find((path) => existsSync(path));
}

const placeholders = (directory: string) => ({
  LISTEN: String(LISTEN_PORT),
  MTLS: String(MTLS_PORT),
  APP: String(APP_PORT),
  SERVER: SERVER_ADDRESS,
  PKI: `${directory}/pki`,
  DIR: directory,
});

function redirect(how: '-A' | '-D'): void {
  run(
    'ip',
    'netns',
    'exec',
    CLIENT,
    'iptables',
    '-w',
    '-t',
    'nat',
    how,
    'OUTPUT',
    '-p',
    'tcp',
    '-d',
    SERVER_ADDRESS,
    '--dport',
    String(APP_PORT),
    '-j',
    'REDIRECT',
    '--to-ports',
    String(LISTEN_PORT),
  );
}

/** Starts a program in a namespace, its output in a file; `ip netns exec` replaces itself by it. */
export function inNamespace(
  namespace: string,
  command: readonly string[],
  logFile: string,
  env: NodeJS.ProcessEnv = process.env,
): ChildProcess {
  const log = openSync(logFile, 'w');
  return spawn('ip', ['netns', 'exec', namespace, ...command], {
    stdio: ['ignore', log, log],
    env,
  });
}

/** Ends a process, by force if it does not go in time. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), 5000);
  await exit;
  clearTimeout(force);
}

/** Waits until somebody in the namespace listens on the port; fails after 15 s. */
export async function listening(namespace: string, port: number): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (Date.now() < deadline) {
    if (run('ip', 'netns', 'exec', namespace, 'ss', '-Hltn', `sport = :${port}`) !== '') return;
    await delay(50);
  }
  throw new Error(`nobody listens on port ${port} in ${namespace} after 15 s`);
}

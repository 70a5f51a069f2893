/**
 * What a waypoint is told at start, checked before anything is opened; every problem is reported at
 * once, with the flag, the value and what was expected.
 */
import { parseAddress } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';
import type { Level } from '#common/log.ts';

export interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

export interface WaypointConfig {
  /** Where clients connect that no agent brings. */
  readonly listen: readonly ListenAddress[];
  /** Links with the agent under `@NAME/in/N` and `@NAME/out`; '' for none. */
  readonly link: string;
  readonly agentUid: number;
  readonly routes: string;
  readonly workers: number;
  readonly drainMs: number;
  /** On loopback; 0 for none. */
  readonly adminPort: number;
  /** On all addresses: metrics and readiness; 0 for none. */
  readonly metricsPort: number;
  readonly logLevel: Level;
  readonly logFormat: 'json' | 'text';
}

/** The flags as commander gives them. */
export type WaypointFlags = Readonly<Record<string, string | readonly string[] | undefined>>;

const MOST_WORKERS = 64;
const LARGEST_UID = 2 ** 32 - 2;
const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error'];

/** Checks the flags; throws `CONFIG_INVALID` that lists every problem. */
export function readConfig(flags: WaypointFlags): WaypointConfig {
  const problems: string[] = [];
  const refuse = (flag: string, expected: string, found: unknown): void => {
    problems.push(`--${flag}: expected ${expected}, found ${JSON.stringify(found) ?? 'nothing'}`);
  };
  const text = (name: string, fallback = ''): string => {
    const value = flags[name];
    return typeof value === 'string' ? value : fallback;
  };
  const whole = (name: string, flag: string, [least, most]: readonly [number, number]): number => {
    const value = Number(text(name));
    if (/^\d+$/.test(text(name)) && value >= least && value <= most) return value;
    refuse(flag, `${least} to ${most}`, flags[name]);
    return 0;
  };
  const oneOf = <T extends string>(name: string, flag: string, allowed: readonly T[]): T => {
    const found = allowed.find((one) => one === flags[name]);
    const [first] = allowed;
    if (first === undefined) throw new TypeError('Cannot choose among nothing');
    if (found === undefined) refuse(flag, `one of ${allowed.join(', ')}`, flags[name]);
    return found ?? first;
  };
  const wanted = flags['listen'];
  const listen: ListenAddress[] = [];
  for (const one of Array.isArray(wanted) ? wanted : []) {
    const found = readListen(String(one));
    if (found === undefined) refuse('listen', 'ADDRESS:PORT or [ADDRESS]:PORT', one);
    else listen.push(found);
  }
  const link = text('link');
  if (!/^([a-z0-9][-a-z0-9.]{0,62})?$/.test(link)) refuse('link', 'a name such as plumbline', link);
  if (listen.length === 0 && link === '') refuse('listen', 'ADDRESS:PORT, or --link NAME', wanted);
  const routes = text('routes');
  if (routes === '') refuse('routes', 'a file with routes', flags['routes']);
  const drainMs = readDuration(text('drain'));
  if (drainMs === undefined) refuse('drain', 'a duration such as 5s or 500ms', flags['drain']);
  const config: WaypointConfig = {
    listen,
    link,
    routes,
    agentUid: whole('agentUid', 'agent-uid', [0, LARGEST_UID]),
    workers: whole('workers', 'workers', [1, MOST_WORKERS]),
    drainMs: drainMs ?? 0,
    adminPort: whole('adminPort', 'admin-port', [0, 65_535]),
    metricsPort: whole('metricsPort', 'metrics-port', [0, 65_535]),
    logLevel: oneOf('logLevel', 'log-level', LEVELS),
    logFormat: oneOf('logFormat', 'log-format', ['json', 'text']),
  };
  if (problems.length > 0) {
    throw new MeshError('CONFIG_INVALID', `Cannot start the waypoint: ${problems.join('; ')}`);
  }
  return config;
}

function readListen(value: string): ListenAddress | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(value) ?? [];
  const address = bracketed ?? plain ?? '';
  const port = Number(digits);
  if (parseAddress(address) === undefined || !(port >= 0 && port <= 65_535)) return undefined;
  return { address, port };
}

function readDuration(value: string): number | undefined {
  const [, digits, unit] = /^(\d{1,9})(ms|s|m)$/.exec(value) ?? [];
  if (digits === undefined) return undefined;
  return Number(digits) * (unit === 'ms' ? 1 : unit === 's' ? 1000 : 60_000);
}

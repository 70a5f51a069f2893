/**
 * What the controller is told at start, checked before anything is opened.
 *
 * Every problem is reported at once, each with the flag, the value and what was expected.
 */
import { canonicalAddress } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';
import type { Level } from '#common/log.ts';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** A directory of YAML: agents and CA are known by files of this machine. */
export interface DirectoryConfig {
  readonly kind: 'directory';
  readonly directory: string;
  /** Keys of the CA, and what pods there are. */
  readonly stateDir: string;
  readonly tokens: string;
}

/** An API server: it knows the agents, and keeps the CA. */
export interface KubernetesConfig {
  readonly kind: 'kubernetes';
  /** Undefined: as a pod of the cluster. */
  readonly kubeconfig: string | undefined;
  /** Of the mesh's own objects, and of the policies that hold everywhere. */
  readonly namespace: string;
  /** Tells this replica from the others: the name of its pod. */
  readonly replica: string;
}

export interface ControllerConfig {
  readonly source: DirectoryConfig | KubernetesConfig;
  /** Holds the Unix socket. */
  readonly runDir: string;
  readonly listen: readonly ListenAddress[];
  readonly trustDomain: string;
  readonly cluster: string;
  readonly metrics: ListenAddress | undefined;
  /** Where queries are answered to whom the API server knows; on a cluster only. */
  readonly api: ListenAddress | undefined;
  readonly logLevel: Level;
  readonly logFormat: 'json' | 'text';
  /** Between the steps of a root rotation, for handshakes that have begun. */
  readonly rotationSettleMs: number;
  readonly leafLifeMs: number;
}

/** The flags as commander gives them. */
export type ControllerFlags = Readonly<Record<string, string | readonly string[] | undefined>>;

const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const DNS_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
/** Flags that mean nothing to an API server. */
const DIRECTORY_ONLY = [
  ['directory', 'directory'],
  ['stateDir', 'state-dir'],
  ['tokens', 'tokens'],
] as const;
const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error'];
const DURATION = /^(\d{1,6})(ms|s|m|h)$/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Checks the flags; throws `CONFIG_INVALID` that lists every problem. */
export function readConfig(flags: ControllerFlags): ControllerConfig {
  const problems: string[] = [];
  const complain = (name: string, expected: string, found: unknown): void => {
    const shown = found === undefined ? 'nothing' : JSON.stringify(found);
    problems.push(`--${name}: expected ${expected}, found ${shown}`);
  };
  const text = (key: string, name: string, shape: RegExp, expected: string): string => {
    const value = flags[key];
    if (typeof value === 'string' && shape.test(value)) return value;
    complain(name, expected, value);
    return '';
  };
  const address = (name: string, value: string): ListenAddress[] => {
    const found = readListen(value);
    if (found === undefined) complain(name, 'IP:PORT', value);
    return found === undefined ? [] : [found];
  };
  const oneOf = <T extends string>(key: string, name: string, allowed: readonly T[]): T => {
    const found = allowed.find((one) => one === flags[key]);
    if (found === undefined) complain(name, `one of ${allowed.join(', ')}`, flags[key]);
    return found ?? (allowed[0] as T); // oxlint-disable-line typescript/no-unsafe-type-assertion -- never used: a problem is thrown
  };
  const duration = (key: string, name: string, [least, most]: [number, number]): number => {
    const found = DURATION.exec(String(flags[key]));
    const ms = found === null ? Number.NaN : Number(found[1]) * (UNIT_MS[found[2] ?? ''] ?? 0);
    if (!(ms >= least && ms <= most)) complain(name, 'a duration such as 12s or 24h', flags[key]);
    return ms;
  };
  const source = (): ControllerConfig['source'] => {
    if (oneOf('source', 'source', ['directory', 'kubernetes']) === 'directory') {
      return {
        kind: 'directory',
        directory: text('directory', 'directory', /./, 'a directory of YAML'),
        stateDir: text('stateDir', 'state-dir', /^\//, 'an absolute directory'),
        tokens: text('tokens', 'tokens', /./, 'a file of lines "<node> <token>"'),
      };
    }
    for (const [key, name] of DIRECTORY_ONLY) {
      if (flags[key] !== undefined) complain(name, 'nothing with --source kubernetes', flags[key]);
    }
    const isInPod = flags['kubeconfig'] === undefined;
    return {
      kind: 'kubernetes',
      kubeconfig: isInPod ? undefined : text('kubeconfig', 'kubeconfig', /./, 'a file'),
      namespace: text('namespace', 'namespace', DNS_LABEL, 'the name of a namespace'),
      replica: text('replica', 'replica', DNS_NAME, 'the name of this pod'),
    };
  };
  const listen = [flags['listen'] ?? []].flat();
  if (listen.length === 0) complain('listen', 'IP:PORT, at least once', undefined);
  const { metrics, api } = flags;
  const config: ControllerConfig = {
    source: source(),
    runDir: text('runDir', 'run-dir', /^\//, 'an absolute directory'),
    trustDomain: text('trustDomain', 'trust-domain', /^[a-z0-9._-]{1,255}$/, 'a trust domain'),
    cluster: text('cluster', 'cluster', /^[\w.-]{1,253}$/, 'the name of the cluster'),
    listen: listen.flatMap((one) => address('listen', one)),
    metrics: typeof metrics === 'string' ? address('metrics', metrics)[0] : undefined,
    api: typeof api === 'string' ? address('api', api)[0] : undefined,
    logLevel: oneOf('logLevel', 'log-level', LEVELS),
    logFormat: oneOf('logFormat', 'log-format', ['json', 'text']),
    rotationSettleMs: duration('rotationSettle', 'rotation-settle', [100, 3_600_000]),
    leafLifeMs: duration('leafLife', 'leaf-life', [30_000, 90 * 86_400_000]),
  };
  if (problems.length > 0) {
    throw new MeshError('CONFIG_INVALID', `Cannot start the controller: ${problems.join('; ')}`);
  }
  return config;
}

/** Reads `10.0.0.1:15012` or `[::1]:15012`; undefined when it is neither. */
function readListen(value: string): ListenAddress | undefined {
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(value);
  if (found === null || Number(found[3]) > 65_535) return undefined;
  try {
    return { host: canonicalAddress(found[1] ?? found[2] ?? ''), port: Number(found[3]) };
  } catch {
    return undefined;
  }
}

/**
 * What a node agent is told at start, checked before anything is opened.
 *
 * Every problem is reported at once, each with the flag, the value and what was expected.
 */
import { MeshError } from '#common/errors.ts';
import type { Level } from '#common/log.ts';

/** Where the CNI plugin is kept, and where it and the agent meet. */
export interface CniConfig {
  readonly binDir: string;
  readonly confDir: string;
  readonly stateDir: string;
  readonly runDir: string;
}

export interface AgentConfig {
  readonly node: string;
  /** `wss://` address of the controller. */
  readonly controller: string;
  readonly controllerCa: string;
  readonly tokenFile: string;
  readonly netnsDir: string;
  /** `uid`: files of that directory are named by the uids of pods. `node`: as a runtime names them. */
  readonly netnsLayout: 'uid' | 'node';
  /** Where processes are looked at for runtimes that pin no namespaces; undefined: nowhere. */
  readonly procDir: string | undefined;
  /** Undefined: no plugin, pods are captured when they are seen. */
  readonly cni: CniConfig | undefined;
  /** Touched each second while ready; '' for none. */
  readonly readyFile: string;
  /** The agent's own, by which it knows removal from replacement; undefined outside of a cluster. */
  readonly daemonSet: { readonly namespace: string; readonly name: string } | undefined;
  /** Survives a restart of the machine: the last snapshot of the mesh. */
  readonly stateDir: string;
  /** Memory file system, root only: keys, sockets. */
  readonly runDir: string;
  /** Names the resolvers for DNS questions of captured pods that the mesh does not answer. */
  readonly resolvConf: string;
  readonly workers: number;
  readonly drainMs: number;
  /** A predecessor that does not answer for so long is given up. */
  readonly takeoverTimeoutMs: number;
  readonly trustDomain: string;
  readonly cluster: string;
  readonly logLevel: Level;
  readonly logFormat: 'json' | 'text';
  readonly accessLog: 'json' | 'text' | 'off';
  /** The admin port can break things on purpose. For fault tests alone. */
  readonly hasTestHooks: boolean;
}

/** The flags as commander gives them: text, or absent. */
export type AgentFlags = Readonly<Record<string, string | undefined>> & {
  readonly testHooks?: true;
  readonly remove?: true;
};

const MOST_WORKERS = 64;
const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error'];

/** Checks the flags; throws `CONFIG_INVALID` that lists every problem. */
export function readConfig(flags: AgentFlags): AgentConfig {
  const problems: string[] = [];
  const required = (name: string, shape: RegExp, expected: string): string => {
    const value = flags[name];
    if (value !== undefined && shape.test(value)) return value;
    problems.push(`--${kebab(name)}: expected ${expected}, found ${quote(value)}`);
    return '';
  };
  const oneOf = <T extends string>(name: string, allowed: readonly T[], fallback: T): T => {
    const value = flags[name] ?? fallback;
    const found = allowed.find((one) => one === value);
    if (found === undefined) {
      problems.push(
        `--${kebab(name)}: expected one of ${allowed.join(', ')}, found ${quote(value)}`,
      );
    }
    return found ?? fallback;
  };
  const workers = Number(flags['workers'] ?? 1);
  if (!Number.isInteger(workers) || workers < 1 || workers > MOST_WORKERS) {
    problems.push(`--workers: expected 1 to ${MOST_WORKERS}, found ${quote(flags['workers'])}`);
  }
  const duration = (name: string, fallback: string): number => {
    const ms = readDuration(flags[name] ?? fallback);
    if (ms === undefined) {
      const found = quote(flags[name]);
      problems.push(`--${kebab(name)}: expected a duration such as 5s or 500ms, found ${found}`);
    }
    return ms ?? 0;
  };
  const drainMs = duration('drain', '5s');
  const takeoverTimeoutMs = duration('takeoverTimeout', '10s');
  const netnsLayout = oneOf('netnsLayout', ['uid', 'node'], 'uid');
  const stateDir = required('stateDir', /^\//, 'an absolute directory');
  const runDir = required('runDir', /^\//, 'an absolute directory on a memory file system');
  const cni = readCni(flags, { stateDir, runDir }, problems);
  if (cni !== undefined && netnsLayout !== 'node') {
    problems.push('--cni-bin-dir: expected --netns-layout node beside it');
  }
  const config: AgentConfig = {
    node: required('node', /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, 'the name of this node'),
    controller: required('controller', /^wss:\/\/[^/\s]+$/, 'wss://HOST:PORT'),
    controllerCa: required('controllerCa', /^\S/, 'a file with the root certificates in PEM'),
    tokenFile: required('tokenFile', /^\S/, 'a file with the token of this agent'),
    netnsDir: required('netnsDir', /^\//, 'an absolute directory'),
    netnsLayout,
    procDir:
      flags['procDir'] === undefined
        ? undefined
        : required('procDir', /^\//, 'an absolute directory'),
    cni,
    readyFile:
      flags['readyFile'] === undefined ? '' : required('readyFile', /^\//, 'an absolute path'),
    daemonSet: readDaemonSet(flags['daemonset'], problems),
    stateDir,
    runDir,
    resolvConf: flags['resolvConf'] ?? '/etc/resolv.conf',
    trustDomain: flags['trustDomain'] ?? 'cluster.local',
    cluster: flags['cluster'] ?? 'Kubernetes',
    workers,
    drainMs,
    takeoverTimeoutMs,
    logLevel: oneOf('logLevel', LEVELS, 'info'),
    logFormat: oneOf('logFormat', ['json', 'text'], 'json'),
    accessLog: oneOf('accessLog', ['json', 'text', 'off'], 'json'),
    hasTestHooks: flags.testHooks === true,
  };
  if (problems.length > 0) {
    throw new MeshError('CONFIG_INVALID', `Cannot start the node agent: ${problems.join('; ')}`);
  }
  return config;
}

/** What `node-agent --remove` must be told. */
export type RemovalConfig = Pick<AgentConfig, 'netnsDir' | 'stateDir' | 'runDir' | 'cni'>;

/** Checks the flags for a removal; throws `CONFIG_INVALID` that lists every problem. */
export function readRemovalConfig(flags: AgentFlags): RemovalConfig {
  const problems: string[] = [];
  const directory = (name: string): string => {
    const value = flags[name];
    if (value?.startsWith('/') === true) return value;
    problems.push(`--${kebab(name)}: expected an absolute directory, found ${quote(value)}`);
    return '';
  };
  const netnsDir = directory('netnsDir');
  const stateDir = directory('stateDir');
  const runDir = directory('runDir');
  const cni = readCni(flags, { stateDir, runDir }, problems);
  if (problems.length > 0) {
    const message = `Cannot remove the mesh from this node: ${problems.join('; ')}`;
    throw new MeshError('CONFIG_INVALID', message);
  }
  return { netnsDir, stateDir, runDir, cni };
}

function readCni(
  flags: AgentFlags,
  { stateDir, runDir }: { readonly stateDir: string; readonly runDir: string },
  problems: string[],
): CniConfig | undefined {
  const { cniBinDir: binDir, cniConfDir: confDir } = flags;
  if (binDir === undefined && confDir === undefined) return undefined;
  if (binDir?.startsWith('/') === true && confDir?.startsWith('/') === true) {
    return { binDir, confDir, stateDir: `${stateDir}/cni`, runDir: `${runDir}/cni` };
  }
  problems.push(
    `--cni-bin-dir, --cni-conf-dir: expected two absolute directories or neither, found ${quote(binDir)} and ${quote(confDir)}`,
  );
  return undefined;
}

function readDaemonSet(text: string | undefined, problems: string[]): AgentConfig['daemonSet'] {
  if (text === undefined) return undefined;
  const [, namespace, name] = /^([a-z0-9-]{1,63})\/([a-z0-9.-]{1,253})$/.exec(text) ?? [];
  if (namespace !== undefined && name !== undefined) return { namespace, name };
  problems.push(`--daemonset: expected NAMESPACE/NAME, found ${quote(text)}`);
  return undefined;
}

/** Reads `500ms`, `5s` or `2m` as milliseconds; undefined when it is none of these. */
export function readDuration(text: string): number | undefined {
  const found = /^(\d{1,9})(ms|s|m)$/.exec(text);
  if (found === null) return undefined;
  const unit = found[2] === 'ms' ? 1 : found[2] === 's' ? 1000 : 60_000;
  return Number(found[1]) * unit;
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function quote(value: string | undefined): string {
  return value === undefined ? 'nothing' : `"${value}"`;
}

/**
 * A small network for tests: nodes and pods as network namespaces on this machine.
 *
 * Nodes hang on one switch; each node has a bridge for its pods, forwards for them and routes to
 * the other nodes, so a packet between pods of two nodes crosses both nodes as in a cluster:
 *
 *     pod ── veth ── cni0 (bridge in the node) ── eth0 ── switch ── eth0 ── cni0 ── veth ── pod
 *
 * Node n is 10.99.0.n and fd99::n; its pods are 10.(64+n).0.m and fd00:n::m. Names start with
 * `<prefix>-<pid>-`, and namespaces that a killed test run left behind go at the next run.
 */
import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { closeSync, openSync, readdirSync } from 'node:fs';

/** What the tests need of tap's `t`. */
interface Test {
  after(undo: () => void | Promise<void>): void;
}

export interface Netns {
  readonly name: string;
  /** Can be opened, bind-mounted or given to `nsenter --net=`. */
  readonly path: string;
  /** Open for as long as the test runs. */
  readonly fd: number;
  /** Runs a shell command in the namespace and returns its standard output. */
  exec(command: string): string;
  /** Says whether a shell command succeeds in the namespace. */
  succeeds(command: string): boolean;
  /** Starts a program in the namespace; it is killed when the test ends. */
  spawn(program: string, args: readonly string[], options?: SpawnOptions): ChildProcess;
}

export interface PodNetns extends Netns {
  readonly node: NodeNetns;
  readonly address4: string | undefined;
  readonly address6: string | undefined;
  readonly addresses: readonly string[];
  /** Takes the namespace away, as the end of a pod does. */
  remove(): void;
}

export interface NodeNetns extends Netns {
  readonly number: number;
  readonly address4: string;
  readonly address6: string;
  pod(name: string, options?: PodOptions): PodNetns;
}

export interface PodOptions {
  /** 4, 6 or both, which is the default. */
  readonly families?: readonly (4 | 6)[];
  /** The last part of its addresses; counted from 10 when not given. For tests of IP reuse. */
  readonly host?: number;
}

export interface Net {
  /** The switch between the nodes; node n is at its port `port<n>`. */
  readonly hub: Netns;
  readonly nodes: readonly NodeNetns[];
  node(number: number): NodeNetns;
}

/** Why a test that needs namespaces cannot run here, or false. */
export const needsRoot: string | false =
  process.getuid?.() === 0 ? false : 'needs root for network namespaces';

const FIRST_POD = 10;

/**
 * A bridge without an address of its own takes the lowest of its ports', so it changes when a pod comes
 * or goes, and the others go on sending to the old one until their caches notice.
 */
const SWITCH_MAC = '02:70:6c:00:00:01';
const BRIDGE_MAC = '02:70:6c:00:01:01';

/** Makes the network; everything goes when `t` ends. */
export function createNet(t: Test, prefix: string, nodes = 2): Net {
  sweep(prefix);
  const scope = `${prefix}-${process.pid}-${(serial += 1)}`;
  const owned: Owned = { children: new Set(), spaces: new Map() };
  t.after(() => removeAll(owned));
  const hub = createNetns(owned, `${scope}-sw`);
  ip(hub.name, [
    `link add br0 address ${SWITCH_MAC} type bridge mcast_snooping 0`,
    'link set br0 up',
  ]);
  const made: NodeNetns[] = [];
  for (let n = 1; n <= nodes; n += 1)
    made.push(createNode(owned, { scope, hub, number: n, nodes }));
  return {
    hub,
    nodes: made,
    node: (number) => made.find((node) => node.number === number) ?? fail(`no node ${number}`),
  };
}

let serial = 0;

interface Owned {
  readonly children: Set<ChildProcess>;
  readonly spaces: Map<string, number>;
}

interface NodePlan {
  readonly scope: string;
  readonly hub: Netns;
  readonly number: number;
  readonly nodes: number;
}

function createNode(owned: Owned, { scope, hub, number, nodes }: NodePlan): NodeNetns {
  const base = createNetns(owned, `${scope}-n${number}`);
  ip(hub.name, [
    `link add port${number} type veth peer name eth0 netns ${base.name}`,
    `link set port${number} master br0 up`,
  ]);
  const others = Array.from({ length: nodes }, (_, i) => i + 1).filter((n) => n !== number);
  // The bridge's address comes before the routes: they take it for their source otherwise.
  ip(base.name, [
    'link set eth0 up',
    `addr add 10.99.0.${number}/24 dev eth0`,
    `addr add fd99::${number}/64 dev eth0 nodad`,
    `link add cni0 address ${BRIDGE_MAC} type bridge mcast_snooping 0`,
    'link set cni0 up',
    `addr add 10.${64 + number}.0.1/16 dev cni0`,
    `addr add fd00:${number}::1/64 dev cni0 nodad`,
    ...others.map((n) => `route add 10.${64 + n}.0.0/16 via 10.99.0.${n}`),
    ...others.map((n) => `route add fd00:${n}::/64 via fd99::${n}`),
  ]);
  base.exec('sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1');
  let next = FIRST_POD;
  const node: NodeNetns = {
    ...base,
    number,
    address4: `10.99.0.${number}`,
    address6: `fd99::${number}`,
    pod: (name, options = {}) => {
      const host = options.host ?? next;
      if (options.host === undefined) next += 1;
      return createPod(owned, { node, scope, name, host, families: options.families ?? [4, 6] });
    },
  };
  return node;
}

interface PodPlan {
  readonly node: NodeNetns;
  readonly scope: string;
  readonly name: string;
  readonly host: number;
  readonly families: readonly (4 | 6)[];
}

function createPod(owned: Owned, { node, scope, name, host, families }: PodPlan): PodNetns {
  const base = createNetns(owned, `${scope}-${name}`);
  const address4 = families.includes(4)
    ? `10.${64 + node.number}.${host >> 8}.${host & 255}`
    : undefined;
  const address6 = families.includes(6) ? `fd00:${node.number}::${host.toString(16)}` : undefined;
  const end = `veth${(serial += 1)}`;
  ip(node.name, [
    `link add ${end} type veth peer name eth0 netns ${base.name}`,
    `link set ${end} master cni0 up`,
  ]);
  ip(base.name, [
    ...(address4 === undefined ? [] : [`link set eth0 address ${macOf(address4)}`]),
    'link set eth0 up',
    ...(address4 === undefined
      ? []
      : [`addr add ${address4}/16 dev eth0`, `route add default via 10.${64 + node.number}.0.1`]),
    ...(address6 === undefined
      ? []
      : [`addr add ${address6}/64 dev eth0 nodad`, `route add default via fd00:${node.number}::1`]),
  ]);
  return {
    ...base,
    node,
    address4,
    address6,
    addresses: [address4, address6].filter((address) => address !== undefined),
    // The link goes first, as with a CNI: who still holds the namespace open must not answer for it.
    remove: () => {
      ip(node.name, [`link delete ${end}`]);
      removeNetns(owned, base.name);
    },
  };
}

/** As the bridge plugin of a CNI does: who gets an address again is found by who knew it before. */
function macOf(address4: string): string {
  const bytes = address4.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return `0a:58:${bytes.join(':')}`;
}

function createNetns(owned: Owned, name: string): Netns {
  run('ip', ['netns', 'add', name]);
  const path = `/run/netns/${name}`;
  const fd = openSync(path, 'r');
  owned.spaces.set(name, fd);
  const exec = (command: string): string => run('nsenter', [`--net=${path}`, 'sh', '-c', command]);
  // A link-local address that still looks for duplicates holds IPv6 back for a second or two.
  exec(
    'cd /proc/sys/net/ipv6/conf/default && echo 0 >accept_dad && echo 0 >dad_transmits && exec ip link set lo up',
  );
  return {
    name,
    path,
    fd,
    exec,
    succeeds: (command) => {
      try {
        exec(command);
        return true;
      } catch {
        return false;
      }
    },
    spawn: (program, args, options = {}) => {
      const child = spawn('nsenter', [`--net=${path}`, program, ...args], {
        ...options,
        env: withoutNodeOptions(options.env ?? process.env),
      });
      owned.children.add(child);
      child.once('exit', () => owned.children.delete(child));
      return child;
    },
  };
}

function removeNetns(owned: Owned, name: string): void {
  const fd = owned.spaces.get(name);
  if (fd === undefined) return;
  owned.spaces.delete(name);
  closeSync(fd);
  run('ip', ['netns', 'delete', name]);
}

async function removeAll(owned: Owned): Promise<void> {
  const gone = Array.from(owned.children, (child) => {
    const exit = Promise.withResolvers<void>();
    child.once('exit', () => exit.resolve());
    child.kill('SIGKILL');
    return exit.promise;
  });
  await Promise.all(gone);
  for (const name of owned.spaces.keys()) removeNetns(owned, name);
}

/** Removes the namespaces of test runs with this prefix whose process is gone. */
function sweep(prefix: string): void {
  let names: string[];
  try {
    names = readdirSync('/run/netns');
  } catch {
    return; // No namespace was ever made on this machine.
  }
  for (const name of names) {
    const [, owner, pid] = /^(.+?)-(\d+)-\d+-/.exec(name) ?? [];
    if (owner === prefix && !isAlive(Number(pid))) run('ip', ['netns', 'delete', name]);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function ip(netns: string, lines: readonly string[]): void {
  run('ip', ['-n', netns, '-batch', '-'], lines.join('\n'));
}

function run(program: string, args: readonly string[], input?: string): string {
  return execFileSync(program, args, {
    encoding: 'utf8',
    input,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: withoutNodeOptions(process.env),
  });
}

/** Coverage tools put a loader into NODE_OPTIONS that programs under test must not inherit. */
function withoutNodeOptions(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...rest } = env;
  return rest;
}

function fail(message: string): never {
  throw new RangeError(message);
}

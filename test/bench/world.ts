/**
 * The network that every subject of the bench runs on: client pod — node — node — server pod.
 *
 * Four network namespaces and three veth pairs with a prefix of their own; nothing leads outside.
 * Both ends of the path are the same for all subjects, so a row differs from another by its proxies
 * alone. `take down` removes all of it, also after a failure.
 */
import { execFileSync } from 'node:child_process';

export const CLIENT = 'plumb-bench-p1';
export const SERVER = 'plumb-bench-p2';
export const NODE_A = 'plumb-bench-n1';
export const NODE_B = 'plumb-bench-n2';
export const CLIENT_ADDRESS = '10.91.1.2';
export const SERVER_ADDRESS = '10.91.2.2';
/** Where the controller is reached by both agents: an address of the first node. */
export const NODE_A_ADDRESS = '10.91.0.1';

const ALL = [CLIENT, SERVER, NODE_A, NODE_B];

/** Runs a program to its end and returns what it printed. */
export function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const ip = (...args: readonly string[]): string => run('ip', ...args);

/** Makes the four namespaces; an older set is removed first. */
export function makeWorld(): void {
  removeWorld();
  for (const name of ALL) ip('netns', 'add', name);
  link(CLIENT, 'eth0', NODE_A, 'vp1');
  link(NODE_A, 'eth0', NODE_B, 'eth0');
  link(NODE_B, 'vp2', SERVER, 'eth0');
  address(CLIENT, `${CLIENT_ADDRESS}/24`, 'eth0');
  address(NODE_A, '10.91.1.1/24', 'vp1');
  address(SERVER, `${SERVER_ADDRESS}/24`, 'eth0');
  address(NODE_B, '10.91.2.1/24', 'vp2');
  address(NODE_A, `${NODE_A_ADDRESS}/24`, 'eth0');
  address(NODE_B, '10.91.0.2/24', 'eth0');
  ip('-n', CLIENT, 'route', 'add', 'default', 'via', '10.91.1.1');
  ip('-n', SERVER, 'route', 'add', 'default', 'via', '10.91.2.1');
  ip('-n', NODE_A, 'route', 'add', '10.91.2.0/24', 'via', '10.91.0.2');
  ip('-n', NODE_B, 'route', 'add', '10.91.1.0/24', 'via', NODE_A_ADDRESS);
  for (const name of ALL) {
    ip('-n', name, 'link', 'set', 'lo', 'up');
    ip('netns', 'exec', name, 'sysctl', '-qw', ...SYSCTLS);
  }
}

/** The same for every namespace, so that no subject meets another kernel than the next. */
const SYSCTLS = [
  'net.ipv4.ip_forward=1',
  'net.ipv4.tcp_tw_reuse=1',
  'net.ipv4.ip_local_port_range=24000 65535',
  'net.core.somaxconn=16384',
  'net.ipv4.tcp_max_syn_backlog=16384',
  'net.ipv4.tcp_rmem=4096 131072 16777216',
  'net.ipv4.tcp_wmem=4096 65536 16777216',
];

export function removeWorld(): void {
  const there = ip('netns', 'list');
  for (const name of ALL) if (there.includes(name)) ip('netns', 'del', name);
}

function link(a: string, nameA: string, b: string, nameB: string): void {
  ip('-n', a, 'link', 'add', nameA, 'type', 'veth', 'peer', 'name', nameB, 'netns', b);
  ip('-n', a, 'link', 'set', nameA, 'up');
  ip('-n', b, 'link', 'set', nameB, 'up');
}

function address(name: string, cidr: string, device: string): void {
  ip('-n', name, 'addr', 'add', cidr, 'dev', device);
}

/**
 * The network of the L7 bench: client — proxy — server, each in a network namespace of its own, joined
 * by veth pairs; nothing leads outside. `remove` takes all of it away.
 */
import { run } from '../world.ts';

export const CLIENT = 'plumb-l7-c';
export const PROXY = 'plumb-l7-p';
export const SERVER = 'plumb-l7-s';
/** Where clients find the proxy, and where it finds the server. */
export const PROXY_ADDRESS = '10.92.1.1';
export const SERVER_ADDRESS = '10.92.2.2';

const ALL = [CLIENT, PROXY, SERVER];

const SYSCTLS = [
  'net.ipv4.tcp_tw_reuse=1',
  'net.core.somaxconn=16384',
  'net.ipv4.tcp_rmem=4096 131072 16777216',
  'net.ipv4.tcp_wmem=4096 65536 16777216',
];

export function makeWorld(): void {
  removeWorld();
  for (const name of ALL) {
    run('ip', 'netns', 'add', name);
    run('ip', '-n', name, 'link', 'set', 'lo', 'up');
    run('ip', 'netns', 'exec', name, 'sysctl', '-qw', ...SYSCTLS);
  }
  join([CLIENT, 'eth0', '10.92.1.2/24'], [PROXY, 'in', `${PROXY_ADDRESS}/24`]);
  join([PROXY, 'out', '10.92.2.1/24'], [SERVER, 'eth0', `${SERVER_ADDRESS}/24`]);
}

export function removeWorld(): void {
  const there = run('ip', 'netns', 'list');
  for (const name of ALL) if (there.includes(name)) run('ip', 'netns', 'del', name);
}

type End = readonly [namespace: string, device: string, address: string];

function join(a: End, b: End): void {
  run('ip', '-n', a[0], 'link', 'add', a[1], 'type', 'veth', 'peer', 'name', b[1], 'netns', b[0]);
  for (const [namespace, device, address] of [a, b]) {
    run('ip', '-n', namespace, 'addr', 'add', address, 'dev', device);
    run('ip', '-n', namespace, 'link', 'set', device, 'up');
  }
}

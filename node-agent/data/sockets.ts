/**
 * Sockets inside the network namespaces of pods: listeners, and connections to remote and local ends.
 *
 * Outgoing sockets carry the agent's mark, or the pod's own rules would lead them back to us.
 * Listeners do not: what they accept inherits their options, and answers need no mark. A connection
 * that leaves the node notices a vanished peer by keep-alive and TCP_USER_TIMEOUT; one inside the pod
 * ends with its process.
 */
import { familyOf, isLoopback } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';
import * as sys from '#common/sys/constants.ts';
import { errnoName } from '#common/sys/constants.ts';
import { bind, closeFd, listen, socket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import {
  mark,
  setDualStack,
  setNoDelay,
  setOption,
  setReusePort,
  transparent,
} from '#common/sys/socket-options.ts';
import * as limits from './limits.ts';
import type { Listener, Service } from './messages.ts';

/** Lets a source port be shared between connections to different places. */
const IP_BIND_ADDRESS_NO_PORT = 24;
const SO_RCVBUFFORCE = 33;

const PORTS: Readonly<Record<Exclude<Service, 'dns-tcp' | 'dns-udp'>, number>> = {
  outbound: limits.OUTBOUND_PORT,
  inbound: limits.INBOUND_PORT,
  tunnel: limits.TUNNEL_PORT,
};

/** Which services a pod needs. */
export function servicesOf(isDnsCaptured: boolean): readonly Service[] {
  const always: readonly Service[] = ['outbound', 'inbound', 'tunnel'];
  return isDnsCaptured ? [...always, 'dns-tcp', 'dns-udp'] : always;
}

/**
 * Opens one worker's share of a pod's listeners. Either all of them are there afterwards, or none:
 * then it throws `CAPTURE_FAILED`.
 */
export function openListeners(netns: number, services: readonly Service[]): Listener[] {
  const open: Listener[] = [];
  try {
    inNetns(netns, () => {
      for (const service of services) {
        for (const fd of openService(service)) open.push({ service, fd });
      }
    });
    return open;
  } catch (error) {
    for (const { fd } of open) closeFd(fd);
    throw error;
  }
}

/** DNS is served on the loopback addresses alone: that is where the rules lead the questions. */
function openService(service: Service): number[] {
  if (service === 'dns-tcp' || service === 'dns-udp') {
    const type = service === 'dns-tcp' ? sys.SOCK_STREAM : sys.SOCK_DGRAM;
    const v4 = openOne('127.0.0.1', limits.DNS_PORT, type);
    if (v4 < 0) throw notOpened(service, v4);
    const v6 = openOne('::1', limits.DNS_PORT, type);
    return v6 < 0 ? [v4] : [v4, v6];
  }
  const port = PORTS[service];
  const dual = openOne('::', port, sys.SOCK_STREAM);
  if (dual >= 0) return [dual];
  // A namespace without IPv6.
  const v4 = openOne('0.0.0.0', port, sys.SOCK_STREAM);
  if (v4 < 0) throw notOpened(service, v4);
  return [v4];
}

function openOne(address: string, port: number, type: number): number {
  const fd = socket(familyOf(address), type);
  if (fd < 0) return fd;
  const done = firstError([
    () => setReusePort(fd),
    () => (address === '::' ? setDualStack(fd) : 0),
    () =>
      type === sys.SOCK_STREAM
        ? watchPeer(fd)
        : setOption(fd, sys.SOL_SOCKET, SO_RCVBUFFORCE, limits.DNS_QUEUE_BYTES),
    () => bind(fd, address, port),
    () => (type === sys.SOCK_STREAM ? listen(fd, limits.LISTEN_BACKLOG) : 0),
  ]);
  if (done >= 0) return fd;
  closeFd(fd);
  return done;
}

/** Makes a socket for a connection that leaves the pod; a negated errno when there is none. */
export function openOutgoing(netns: number, address: string, type = sys.SOCK_STREAM): number {
  const fd = inNetns(netns, () => socket(familyOf(address), type));
  if (fd < 0) return fd;
  const done = firstError([
    () => mark(fd, limits.SOCKET_MARK),
    () => (type === sys.SOCK_STREAM ? watchPeer(fd) : 0),
  ]);
  if (done >= 0) return fd;
  closeFd(fd);
  return done;
}

/**
 * Makes a socket for a connection to the pod itself, so that the application sees `source` as its
 * peer; '' leaves the address to the kernel.
 */
export function openLocal(netns: number, address: string, source: string): number {
  const family = familyOf(address);
  const fd = inNetns(netns, () => socket(family));
  if (fd < 0) return fd;
  const spoofed = source !== '' && familyOf(source) === family;
  let done = mark(fd, limits.SOCKET_MARK);
  if (done >= 0) done = setNoDelay(fd);
  if (spoofed) {
    if (done >= 0) done = transparent(fd, family);
    if (done >= 0) done = setOption(fd, sys.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (done >= 0) done = bind(fd, source, 0, family);
  }
  if (done >= 0) return fd;
  closeFd(fd);
  return done;
}

/** Whether a namespace has this address on one of its links, loopback not counted. */
export function isOwnAddress(netns: number, address: string): boolean {
  if (isLoopback(address)) return false;
  const fd = inNetns(netns, () => socket(familyOf(address), sys.SOCK_DGRAM));
  if (fd < 0) return false;
  const result = bind(fd, address, 0);
  closeFd(fd);
  return result >= 0;
}

function watchPeer(fd: number): number {
  return firstError([
    () => setNoDelay(fd),
    () => setOption(fd, sys.SOL_SOCKET, sys.SO_KEEPALIVE, 1),
    () => setOption(fd, sys.IPPROTO_TCP, sys.TCP_KEEPIDLE, limits.KEEPALIVE_IDLE_S),
    () => setOption(fd, sys.IPPROTO_TCP, sys.TCP_KEEPINTVL, limits.KEEPALIVE_INTERVAL_S),
    () => setOption(fd, sys.IPPROTO_TCP, sys.TCP_KEEPCNT, limits.KEEPALIVE_PROBES),
    () => setOption(fd, sys.IPPROTO_TCP, sys.TCP_USER_TIMEOUT, limits.USER_TIMEOUT_MS),
  ]);
}

function firstError(steps: readonly (() => number)[]): number {
  for (const step of steps) {
    const result = step();
    if (result < 0) return result;
  }
  return 0;
}

function notOpened(service: Service, errno: number): MeshError {
  return new MeshError(
    'CAPTURE_FAILED',
    `Cannot open the ${service} listener of a pod: ${errnoName(errno)}`,
  );
}

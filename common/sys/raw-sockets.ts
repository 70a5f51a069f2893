/**
 * Sockets beside TCP: netlink, packets as they pass an interface, and waiting for one descriptor.
 *
 * Everything here is for the main thread and for tests, where a call may allocate.
 */
import {
  AF_NETLINK,
  AF_PACKET,
  NETLINK_ADD_MEMBERSHIP,
  SOCK_RAW,
  SOL_NETLINK,
} from './constants.ts';
import { closeFd, recv, send, socketOf } from './libc.ts';
import { declare, declareBlocking, orErrno } from './native.ts';
import { interfaceIndex } from './netns.ts';
import { hold, newSlab, slabOf, textSlab } from './slab.ts';
import type { Slab } from './slab.ts';
import { setOption } from './socket-options.ts';

const ETH_P_ALL = 3;
const POLLIN = 1;
const ENODEV = 19;

const bindRaw = declare('bind', 'int', ['int', 'uintptr_t', 'int']);
const poll = declare('poll', 'int', ['uintptr_t', 'ulong', 'int']);
const pollBlocking = declareBlocking('poll', ['uintptr_t', 'ulong', 'int']);

/** Opens a netlink socket of this protocol in this thread's namespace, bound to the kernel. */
export function openNetlink(protocol: number, groups: readonly number[] = []): number {
  const fd = socketOf(AF_NETLINK, SOCK_RAW, protocol);
  if (fd < 0) return fd;
  const name = newSlab(12);
  name.bytes.fill(0).writeUInt16LE(AF_NETLINK, 0);
  let result = orErrno(bindRaw(fd, name.address, 12));
  hold(name);
  for (const group of groups) {
    if (result >= 0) result = setOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
  }
  return fdUnless(result, fd);
}

/** Sees every frame that passes an interface, both ways; recv gives one frame a call. */
export function openPacketSocket(interfaceName: string): number {
  const text = textSlab(interfaceName);
  const index = interfaceIndex(text.address);
  hold(text);
  if (index === 0) return -ENODEV;
  const protocol = ((ETH_P_ALL & 0xff) << 8) | (ETH_P_ALL >> 8);
  const fd = socketOf(AF_PACKET, SOCK_RAW, protocol);
  if (fd < 0) return fd;
  const name = newSlab(20);
  name.bytes.fill(0).writeUInt16LE(AF_PACKET, 0);
  name.bytes.writeUInt16BE(ETH_P_ALL, 2);
  name.bytes.writeInt32LE(index, 4);
  const bound = orErrno(bindRaw(fd, name.address, 20));
  hold(name);
  return fdUnless(bound, fd);
}

function fdUnless(error: number, fd: number): number {
  if (error >= 0) return fd;
  closeFd(fd);
  return error;
}

const RECEIVE_BYTES = 1 << 18;
let incoming: Slab | undefined;

/** Sends a message of any socket type. */
export function sendBytes(fd: number, bytes: Uint8Array): number {
  const slab = slabOf(bytes);
  const sent = send(fd, slab, 0, bytes.length);
  hold(slab);
  return sent;
}

/** Receives one message of at most 256 KiB: its bytes, or a negated error number. */
export function receiveBytes(fd: number): Buffer | number {
  incoming ??= newSlab(RECEIVE_BYTES);
  const n = recv(fd, incoming, 0, RECEIVE_BYTES);
  return n < 0 ? n : Buffer.from(incoming.bytes.subarray(0, n));
}

/** Blocks this thread until a descriptor is readable; false when the time ran out. */
export function waitReadable(fd: number, timeoutMs: number): boolean {
  const slab = newSlab(8);
  slab.bytes.writeInt32LE(fd, 0);
  slab.bytes.writeUInt32LE(POLLIN, 4);
  const ready = poll(slab.address, 1, timeoutMs);
  hold(slab);
  return ready > 0;
}

/** As `waitReadable`, on a thread of libuv's pool: keep the time short, there are four of them. */
export async function whenReadable(fd: number, timeoutMs: number): Promise<boolean> {
  const slab = newSlab(8);
  slab.bytes.writeInt32LE(fd, 0);
  slab.bytes.writeUInt32LE(POLLIN, 4);
  const ready = await pollBlocking(slab.address, 1, timeoutMs);
  // Reading the slab here also keeps it alive until the call has returned.
  return ready > 0 && slab.bytes.readUInt16LE(6) !== 0;
}

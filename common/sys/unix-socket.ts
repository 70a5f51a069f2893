/**
 * Unix sockets: for bytes, and those that pass descriptors (SCM_RIGHTS), message by message.
 *
 * The latter are of type SOCK_SEQPACKET: a message arrives whole, with its own descriptors, or not at
 * all. What crosses may be keys, so both sides check `peerCredentials` before they trust a byte.
 */
import { closeSync } from 'node:fs';
import {
  AF_UNIX,
  EMSGSIZE,
  EPROTO,
  SO_PEERCRED,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
} from './constants.ts';
import { socketOf } from './libc.ts';
import { declare, orErrno } from './native.ts';
import { hold, newSlab, slabOf } from './slab.ts';
import { SOCKADDR_BYTES, writeUnixPath } from './sockaddr.ts';
import { getOptionBytes } from './socket-options.ts';

const libc = {
  bind: declare('bind', 'int', ['int', 'uintptr_t', 'int']),
  connect: declare('connect', 'int', ['int', 'uintptr_t', 'int']),
  sendmsg: declare('sendmsg', 'long', ['int', 'uintptr_t', 'int']),
  recvmsg: declare('recvmsg', 'long', ['int', 'uintptr_t', 'int']),
  socketpair: declare('socketpair', 'int', ['int', 'int', 'int', 'uintptr_t']),
};

/** What the kernel takes in one message (SCM_MAX_FD). */
export const MAX_DESCRIPTORS = 253;
/** Under the default limit of a socket's send buffer. */
export const MAX_MESSAGE_BYTES = 1 << 17;

const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const MSG_TRUNC = 0x20;
const MSG_CTRUNC = 8;
const CMSG_HEAD = 16;
const MSGHDR_BYTES = 56;
const FLAGS_AT = 48;
const NONBLOCK_CLOEXEC = 0x800 | 0x80000;

export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface Received {
  readonly payload: Buffer;
  readonly descriptors: readonly number[];
}

export function unixSocket(): number {
  return socketOf(AF_UNIX, SOCK_SEQPACKET);
}

/** A socket for bytes, as links have them. */
export function unixStreamSocket(): number {
  return socketOf(AF_UNIX, SOCK_STREAM);
}

export function bindUnix(fd: number, path: string): number {
  const name = newSlab(SOCKADDR_BYTES);
  const length = writeUnixPath(name.bytes, path);
  const result = orErrno(libc.bind(fd, name.address, length));
  hold(name);
  return result;
}

export function connectUnix(fd: number, path: string): number {
  const name = newSlab(SOCKADDR_BYTES);
  const length = writeUnixPath(name.bytes, path);
  const result = orErrno(libc.connect(fd, name.address, length));
  hold(name);
  return result;
}

/** Makes two sockets that are connected with each other. */
export function unixPair(): readonly [number, number] | undefined {
  const pair = newSlab(8);
  const made = libc.socketpair(AF_UNIX, SOCK_SEQPACKET | NONBLOCK_CLOEXEC, 0, pair.address);
  return made < 0 ? undefined : [pair.bytes.readInt32LE(0), pair.bytes.readInt32LE(4)];
}

/** Who made the other end, as the kernel saw it then. */
export function peerCredentials(fd: number): Credentials | undefined {
  const bytes = getOptionBytes(fd, SOL_SOCKET, SO_PEERCRED);
  if (bytes === undefined || bytes.length < 12) return undefined;
  return { pid: bytes.readInt32LE(0), uid: bytes.readInt32LE(4), gid: bytes.readInt32LE(8) };
}

/** Sends one message (at least one byte) with these descriptors; they stay open here as well. */
export function sendDescriptors(
  fd: number,
  payload: Uint8Array,
  descriptors: readonly number[],
): number {
  if (payload.length === 0 || payload.length > MAX_MESSAGE_BYTES) return -EMSGSIZE;
  if (descriptors.length > MAX_DESCRIPTORS) return -EMSGSIZE;
  const body = slabOf(payload);
  const { head, control } = messageHead(body.address, payload.length, descriptors.length);
  control.bytes.writeBigUInt64LE(BigInt(CMSG_HEAD + 4 * descriptors.length), 0);
  control.bytes.writeInt32LE(SOL_SOCKET, 8);
  control.bytes.writeInt32LE(SCM_RIGHTS, 12);
  for (const [i, descriptor] of descriptors.entries()) {
    control.bytes.writeInt32LE(descriptor, CMSG_HEAD + 4 * i);
  }
  const sent = orErrno(libc.sendmsg(fd, head.address, MSG_NOSIGNAL));
  hold(body, head, control);
  return sent;
}

/** Receives one message, or returns a negated error number; an empty payload is the end. */
export function receiveDescriptors(fd: number): Received | number {
  const body = newSlab(MAX_MESSAGE_BYTES);
  const { head, control } = messageHead(body.address, MAX_MESSAGE_BYTES, MAX_DESCRIPTORS);
  const n = orErrno(libc.recvmsg(fd, head.address, MSG_CMSG_CLOEXEC));
  hold(body, head, control);
  if (n < 0) return n;
  const descriptors: number[] = [];
  // msg_controllen now says how much the kernel wrote; there is at most the one header we allow.
  const written = Number(head.bytes.readBigUInt64LE(40));
  const length = written < CMSG_HEAD ? 0 : Number(control.bytes.readBigUInt64LE(0));
  if (control.bytes.readInt32LE(12) === SCM_RIGHTS) {
    for (let at = CMSG_HEAD; at + 4 <= Math.min(length, written); at += 4) {
      descriptors.push(control.bytes.readInt32LE(at));
    }
  }
  if ((head.bytes.readInt32LE(FLAGS_AT) & (MSG_TRUNC | MSG_CTRUNC)) !== 0) {
    for (const descriptor of descriptors) closeSync(descriptor);
    return -EPROTO;
  }
  return { payload: Buffer.from(body.bytes.subarray(0, n)), descriptors };
}

/** struct msghdr with one iovec and room for descriptors, all inside one slab each. */
function messageHead(address: number, length: number, descriptors: number) {
  const control = newSlab(CMSG_HEAD + 4 * MAX_DESCRIPTORS + 4);
  const head = newSlab(MSGHDR_BYTES + 16);
  control.bytes.fill(0);
  head.bytes.fill(0);
  head.bytes.writeBigUInt64LE(BigInt(head.address + MSGHDR_BYTES), 16);
  head.bytes.writeBigUInt64LE(1n, 24);
  head.bytes.writeBigUInt64LE(BigInt(address), MSGHDR_BYTES);
  head.bytes.writeBigUInt64LE(BigInt(length), MSGHDR_BYTES + 8);
  if (descriptors > 0) {
    head.bytes.writeBigUInt64LE(BigInt(control.address), 32);
    head.bytes.writeBigUInt64LE(BigInt((CMSG_HEAD + 4 * descriptors + 7) & ~7), 40);
  }
  return { head, control };
}

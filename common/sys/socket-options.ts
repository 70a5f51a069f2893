/**
 * Socket options: the agent's mark, foreign source addresses, original destinations.
 *
 * Mark and transparency need NET_ADMIN in the user namespace that owns the socket's network.
 */
import { formatAddress, formatAddress4 } from '../address.ts';
import type { Family } from '../address.ts';
import {
  IP_TRANSPARENT,
  IPPROTO_TCP,
  IPV6_TRANSPARENT,
  IPV6_V6ONLY,
  SO_DOMAIN,
  SO_ERROR,
  SO_LINGER,
  SO_MARK,
  SO_ORIGINAL_DST,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
  TCP_NODELAY,
} from './constants.ts';
import { declare, orErrno } from './native.ts';
import { newSlab } from './slab.ts';
import type { Slab } from './slab.ts';
import type { Endpoint } from './sockaddr.ts';

const setsockopt = declare('setsockopt', 'int', ['int', 'int', 'int', 'uintptr_t', 'uint']);
const getsockopt = declare('getsockopt', 'int', ['int', 'int', 'int', 'uintptr_t', 'uintptr_t']);

const scratch = newSlab(32);
const valueLength = newSlab(4);
/** Options set on every connection, kept apart so that nothing has to be written for them. */
const one = newSlab(4);
one.bytes.writeInt32LE(1);

export function setOption(fd: number, level: number, option: number, to: number): number {
  scratch.bytes.writeInt32LE(to);
  return orErrno(setsockopt(fd, level, option, scratch.address, 4));
}

/** Reads an option that is an int; negative when it cannot be read. */
export function getOption(fd: number, level: number, option: number): number {
  valueLength.bytes.writeInt32LE(4);
  const result = getsockopt(fd, level, option, scratch.address, valueLength.address);
  return result < 0 ? orErrno(result) : scratch.bytes.readInt32LE(0);
}

/** Reads an option into a fresh buffer; undefined when it cannot be read. */
export function getOptionBytes(fd: number, level: number, option: number): Buffer | undefined {
  valueLength.bytes.writeInt32LE(scratch.bytes.length);
  if (getsockopt(fd, level, option, scratch.address, valueLength.address) < 0) return undefined;
  return Buffer.from(scratch.bytes.subarray(0, valueLength.bytes.readInt32LE(0)));
}

/**
 * Reads an option whose question stands in the slab (the name of an iptables table, for instance)
 * into that slab; returns how many bytes the answer has.
 */
export function askOption(
  fd: number,
  level: number,
  option: number,
  question: { readonly slab: Slab; readonly length: number },
): number {
  valueLength.bytes.writeInt32LE(question.length);
  const { address } = question.slab;
  const result = getsockopt(fd, level, option, address, valueLength.address);
  return result < 0 ? orErrno(result) : valueLength.bytes.readInt32LE(0);
}

/** Sends what is written at once: without it a small answer waits for the peer's delayed ACK. */
export function setNoDelay(fd: number): number {
  return orErrno(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, one.address, 4));
}

/** Lets a listener be bound again at once, and beside others of its kind. */
export function setReusePort(fd: number): number {
  const address = orErrno(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, one.address, 4));
  return address < 0 ? address : orErrno(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, one.address, 4));
}

/** Makes an IPv6 socket serve IPv4 as well. */
export function setDualStack(fd: number): number {
  return setOption(fd, SOL_IPV6, IPV6_V6ONLY, 0);
}

/** Makes the next close send a RST rather than a FIN. */
export function setReset(fd: number): number {
  scratch.bytes.writeInt32LE(1, 0);
  scratch.bytes.writeInt32LE(0, 4);
  return orErrno(setsockopt(fd, SOL_SOCKET, SO_LINGER, scratch.address, 8));
}

/** Marks every packet of a socket. */
export function mark(fd: number, value: number): number {
  return setOption(fd, SOL_SOCKET, SO_MARK, value);
}

/** Lets a socket be bound to, or accept for, an address that is not of this machine. */
export function transparent(fd: number, family: Family): number {
  return family === 6
    ? setOption(fd, SOL_IPV6, IPV6_TRANSPARENT, 1)
    : setOption(fd, SOL_IP, IP_TRANSPARENT, 1);
}

/** Takes the error that a socket has met, 0 for none: how a connect ended, for instance. */
export function socketError(fd: number): number {
  return getOption(fd, SOL_SOCKET, SO_ERROR);
}

/** AF_INET, AF_INET6 and so on. */
export function socketDomain(fd: number): number {
  return getOption(fd, SOL_SOCKET, SO_DOMAIN);
}

/**
 * Where a connection was bound for before iptables redirected it; undefined when the kernel
 * tracks no such connection. IPv4 is asked first: a dual-stack socket carries it v4-mapped.
 */
export function originalDestination(fd: number): Endpoint | undefined {
  valueLength.bytes.writeInt32LE(16);
  if (getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, scratch.address, valueLength.address) === 0) {
    return { address: formatAddress4(scratch.bytes, 4), port: scratch.bytes.readUInt16BE(2) };
  }
  valueLength.bytes.writeInt32LE(28);
  if (getsockopt(fd, SOL_IPV6, SO_ORIGINAL_DST, scratch.address, valueLength.address) === 0) {
    return { address: formatAddress(scratch.bytes, 8), port: scratch.bytes.readUInt16BE(2) };
  }
  return undefined;
}

/**
 * Sockets. All of them are non-blocking and closed on exec.
 *
 * Every call returns 0 or more, or a negated error number, and does not throw for what the kernel
 * refuses. Nothing here allocates on the path of a message (`recv`, `send`). Addresses are
 * canonical text, and IPv4 on a dual-stack socket is spelled as IPv4.
 */
import { familyOf } from '../address.ts';
import type { Family } from '../address.ts';
import { AF_INET, AF_INET6, SOCK_STREAM } from './constants.ts';
import { declare, orErrno } from './native.ts';
import { newSlab } from './slab.ts';
import type { Slab } from './slab.ts';
import { readEndpoint, SOCKADDR_BYTES, writeEndpoint } from './sockaddr.ts';
import type { Endpoint } from './sockaddr.ts';
import { socketDomain } from './socket-options.ts';

const libc = {
  socket: declare('socket', 'int', ['int', 'int', 'int']),
  bind: declare('bind', 'int', ['int', 'uintptr_t', 'int']),
  listen: declare('listen', 'int', ['int', 'int']),
  accept4: declare('accept4', 'int', ['int', 'uintptr_t', 'uintptr_t', 'int']),
  connect: declare('connect', 'int', ['int', 'uintptr_t', 'int']),
  recv: declare('recv', 'long', ['int', 'uintptr_t', 'size_t', 'int']),
  send: declare('send', 'long', ['int', 'uintptr_t', 'size_t', 'int']),
  recvfrom: declare('recvfrom', 'long', [
    'int',
    'uintptr_t',
    'size_t',
    'int',
    'uintptr_t',
    'uintptr_t',
  ]),
  sendto: declare('sendto', 'long', ['int', 'uintptr_t', 'size_t', 'int', 'uintptr_t', 'int']),
  shutdown: declare('shutdown', 'int', ['int', 'int']),
  close: declare('close', 'int', ['int']),
  getsockname: declare('getsockname', 'int', ['int', 'uintptr_t', 'uintptr_t']),
  getpeername: declare('getpeername', 'int', ['int', 'uintptr_t', 'uintptr_t']),
};

const NONBLOCK_CLOEXEC = 0x800 | 0x80000;
const MSG_PEEK = 2;
const MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;
const SHUT_RDWR = 2;
const BACKLOG = 4096;

const name = newSlab(SOCKADDR_BYTES);
const nameLength = newSlab(4);

/** Makes a non-blocking socket for IPv4 or IPv6 (which may serve both, see `setDualStack`). */
export function socket(family: Family, type = SOCK_STREAM, protocol = 0): number {
  return socketOf(family === 4 ? AF_INET : AF_INET6, type, protocol);
}

/** Makes a non-blocking socket of one of the AF_ families. */
export function socketOf(domain: number, type: number, protocol = 0): number {
  return orErrno(libc.socket(domain, type | NONBLOCK_CLOEXEC, protocol));
}

export function bind(fd: number, address: string, port: number, family?: Family): number {
  const length = writeEndpoint(name.bytes, domainOf(fd, family), address, port);
  return orErrno(libc.bind(fd, name.address, length));
}

/** The kernel caps the backlog at net.core.somaxconn. */
export function listen(fd: number, backlog = BACKLOG): number {
  return orErrno(libc.listen(fd, backlog));
}

/** Takes one connection that waits at a listener. */
export function accept(fd: number): number {
  return orErrno(libc.accept4(fd, 0, 0, NONBLOCK_CLOEXEC));
}

/**
 * Begins to connect; -EINPROGRESS is the usual answer for TCP. Who knows the family of the socket
 * spares the kernel the question.
 */
export function connect(fd: number, address: string, port: number, family?: Family): number {
  const length = writeEndpoint(name.bytes, domainOf(fd, family), address, port);
  return orErrno(libc.connect(fd, name.address, length));
}

export function recv(fd: number, slab: Slab, offset: number, length: number): number {
  const n = libc.recv(fd, slab.address + offset, length, 0);
  return n < 0 ? orErrno(n) : n;
}

/** As `recv`, but the bytes stay in the kernel. */
export function peek(fd: number, slab: Slab, offset: number, length: number): number {
  return orErrno(libc.recv(fd, slab.address + offset, length, MSG_PEEK));
}

export function send(fd: number, slab: Slab, offset: number, length: number): number {
  const n = libc.send(fd, slab.address + offset, length, MSG_NOSIGNAL);
  return n < 0 ? orErrno(n) : n;
}

/** As `send`, from a bare address; the caller holds what stands there. */
export function sendAt(fd: number, address: number, length: number): number {
  const n = libc.send(fd, address, length, MSG_NOSIGNAL);
  return n < 0 ? orErrno(n) : n;
}

/** Receives one datagram; `from` is undefined when there is none or its sender has no IP. */
export function recvFrom(
  fd: number,
  slab: Slab,
): { readonly length: number; readonly from: Endpoint | undefined } {
  nameLength.bytes.writeInt32LE(SOCKADDR_BYTES);
  const n = orErrno(
    libc.recvfrom(fd, slab.address, slab.bytes.length, 0, name.address, nameLength.address),
  );
  return { length: n, from: n < 0 ? undefined : readEndpoint(name.bytes) };
}

/** Sends the first `length` bytes of the slab as one datagram. */
export function sendTo(fd: number, slab: Slab, length: number, to: Endpoint): number {
  const nameBytes = writeEndpoint(name.bytes, socketDomain(fd), to.address, to.port);
  return orErrno(libc.sendto(fd, slab.address, length, MSG_NOSIGNAL, name.address, nameBytes));
}

/** Sends a FIN; reading goes on. */
export function shutdownWrite(fd: number): number {
  return orErrno(libc.shutdown(fd, SHUT_WR));
}

/** Nothing more comes or goes; what has come can still be read from a Unix socket. */
export function shutdownBoth(fd: number): number {
  return orErrno(libc.shutdown(fd, SHUT_RDWR));
}

export function closeFd(fd: number): number {
  return orErrno(libc.close(fd));
}

/** Where a connected socket leads to; undefined when it is not connected (any more). */
export function peerOf(fd: number): Endpoint | undefined {
  nameLength.bytes.writeInt32LE(SOCKADDR_BYTES);
  if (libc.getpeername(fd, name.address, nameLength.address) < 0) return undefined;
  return readEndpoint(name.bytes);
}

/** The address at our end of a socket. */
export function localOf(fd: number): Endpoint | undefined {
  nameLength.bytes.writeInt32LE(SOCKADDR_BYTES);
  if (libc.getsockname(fd, name.address, nameLength.address) < 0) return undefined;
  return readEndpoint(name.bytes);
}

function domainOf(fd: number, family: Family | undefined): number {
  if (family === undefined) return socketDomain(fd);
  return family === 4 ? AF_INET : AF_INET6;
}

/** Makes a socket of the family that `address` has. */
export function socketFor(address: string, type = SOCK_STREAM): number {
  return socket(familyOf(address), type);
}

/** Sockets by libc, each call once with what it gives and once with what it refuses. */
import { test } from 'tap';
import type { Test } from 'tap';
import {
  AF_INET,
  AF_INET6,
  EAGAIN,
  ECONNREFUSED,
  EINPROGRESS,
  EMFILE,
  errnoName,
  ENOTCONN,
  EPIPE,
  SO_REUSEPORT,
  SO_SNDBUF,
  SOCK_DGRAM,
  SOL_SOCKET,
} from '#common/sys/constants.ts';
import {
  accept,
  bind,
  closeFd,
  connect,
  listen,
  localOf,
  peek,
  peerOf,
  recv,
  recvFrom,
  send,
  sendAt,
  sendTo,
  shutdownWrite,
  socket,
  socketFor,
} from '#common/sys/libc.ts';
import { waitReadable } from '#common/sys/raw-sockets.ts';
import { addressOf, newSlab } from '#common/sys/slab.ts';
import {
  getOption,
  originalDestination,
  setDualStack,
  setNoDelay,
  setOption,
  setReset,
  setReusePort,
  socketDomain,
  socketError,
} from '#common/sys/socket-options.ts';

const EBADF = 9;
const slab = newSlab(256);

/** Two ends of a connection over loopback. */
function connection(t: Test, listenAt: string, dialTo: string): readonly [number, number, number] {
  const listener = socketFor(listenAt);
  if (listenAt.includes(':')) t.equal(setDualStack(listener), 0);
  t.equal(bind(listener, listenAt, 0), 0);
  t.equal(listen(listener), 0);
  const port = localOf(listener)?.port ?? 0;
  const near = socketFor(dialTo);
  t.equal(connect(near, dialTo, port), -EINPROGRESS);
  t.ok(waitReadable(listener, 1000));
  const far = accept(listener);
  t.ok(far >= 0);
  t.after(() => [listener, near, far].forEach(closeFd));
  return [near, far, port];
}

for (const [listenAt, dialTo] of [
  ['127.0.0.1', '127.0.0.1'],
  ['::1', '::1'],
  ['::', '127.0.0.1'],
  ['::', '::1'],
] as const) {
  test(`connect() to ${dialTo} and accept() on ${listenAt} see each other by canonical address`, async (t) => {
    const [near, far, port] = connection(t, listenAt, dialTo);
    t.strictSame(peerOf(near), { address: dialTo, port });
    t.strictSame(localOf(far), { address: dialTo, port });
    t.strictSame(peerOf(far), localOf(near));
    t.equal(socketDomain(far), listenAt.includes(':') ? AF_INET6 : AF_INET);
    t.equal(socketError(near), 0);
    // Not redirected: either untracked, or tracked as bound for where it went.
    const original = originalDestination(far);
    t.ok(original === undefined || original.address === dialTo);
  });
}

test('send() and recv() carry bytes, and the end of them', async (t) => {
  const [near, far] = connection(t, '127.0.0.1', '127.0.0.1');
  t.equal(recv(far, slab, 0, 16), -EAGAIN);
  slab.bytes.write('hello world');
  t.equal(send(near, slab, 6, 5), 5);
  t.ok(waitReadable(far, 1000));
  t.equal(peek(far, slab, 100, 16), 5);
  t.equal(recv(far, slab, 120, 16), 5);
  t.equal(slab.bytes.toString('latin1', 120, 125), 'world');
  const plain = Buffer.from('not a slab');
  t.equal(sendAt(near, addressOf(plain) + 4, 6), 6);
  t.ok(waitReadable(far, 1000));
  t.equal(recv(far, slab, 0, 16), 6);
  t.equal(slab.bytes.toString('latin1', 0, 6), 'a slab');
  t.equal(shutdownWrite(near), 0);
  t.ok(waitReadable(far, 1000));
  t.equal(recv(far, slab, 0, 16), 0);
  t.equal(send(near, slab, 0, 1), -EPIPE);
});

test('calls return negated error numbers and throw nothing', async (t) => {
  t.equal(recv(-1, slab, 0, 1), -EBADF);
  t.equal(send(-1, slab, 0, 1), -EBADF);
  t.equal(accept(-1), -EBADF);
  t.equal(listen(-1), -EBADF);
  t.equal(closeFd(-1), -EBADF);
  t.equal(setNoDelay(-1), -EBADF);
  t.equal(getOption(-1, SOL_SOCKET, SO_SNDBUF), -EBADF);
  t.equal(peerOf(-1), undefined);
  t.equal(localOf(-1), undefined);
  const fd = socket(4);
  t.after(() => closeFd(fd));
  t.equal(shutdownWrite(fd), -ENOTCONN);
  t.equal(peerOf(fd), undefined);
  connect(fd, '127.0.0.1', 1);
  t.equal(socketError(fd), ECONNREFUSED);
  t.equal(socketError(fd), 0, 'it is taken once');
});

test('bind() and connect() refuse what is no address of the socket’s family', async (t) => {
  const fd = socket(4);
  t.after(() => closeFd(fd));
  t.throws(() => bind(fd, 'localhost', 0), { code: 'ADDRESS_INVALID' });
  t.throws(() => bind(fd, '::1', 0), { code: 'ADDRESS_INVALID' });
  t.throws(() => connect(fd, '10.0.0.1.2', 1), { code: 'ADDRESS_INVALID' });
});

test('socket options are set and read back', async (t) => {
  const fd = socket(6);
  t.after(() => closeFd(fd));
  t.equal(setReusePort(fd), 0);
  t.equal(getOption(fd, SOL_SOCKET, SO_REUSEPORT), 1);
  t.equal(setOption(fd, SOL_SOCKET, SO_SNDBUF, 50_000), 0);
  t.equal(getOption(fd, SOL_SOCKET, SO_SNDBUF), 100_000, 'Linux doubles it');
  t.equal(setReset(fd), 0);
});

test('sendTo() and recvFrom() carry datagrams and their senders', async (t) => {
  for (const [at, from] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
  ] as const) {
    const near = socketFor(from, SOCK_DGRAM);
    const far = socketFor(at, SOCK_DGRAM);
    t.after(() => [near, far].forEach(closeFd));
    bind(far, at, 0);
    bind(near, from, 0);
    slab.bytes.write('datagram');
    const to = localOf(far) ?? { address: at, port: 0 };
    t.equal(sendTo(near, slab, 8, to), 8);
    t.ok(waitReadable(far, 1000));
    slab.bytes.fill(0);
    t.strictSame(recvFrom(far, slab), { length: 8, from: localOf(near) });
    t.equal(slab.bytes.toString('latin1', 0, 8), 'datagram');
    t.strictSame(recvFrom(far, slab), { length: -EAGAIN, from: undefined });
  }
});

test('errnoName() spells what it knows', async (t) => {
  t.equal(errnoName(-ECONNREFUSED), 'ECONNREFUSED');
  t.equal(errnoName(EMFILE), 'EMFILE');
  t.equal(errnoName(-9999), 'errno 9999');
});

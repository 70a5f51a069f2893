/** What only a real kernel with namespaces can show of common/sys. */
import { test } from 'tap';
import { EADDRNOTAVAIL, EAGAIN } from '#common/sys/constants.ts';
import {
  accept,
  bind,
  closeFd,
  connect,
  listen,
  localOf,
  peerOf,
  recv,
  send,
  socket,
  socketFor,
} from '#common/sys/libc.ts';
import { closeNetns, inNetns, openNetns } from '#common/sys/netns.ts';
import {
  openNetlink,
  openPacketSocket,
  receiveBytes,
  waitReadable,
} from '#common/sys/raw-sockets.ts';
import { newSlab } from '#common/sys/slab.ts';
import {
  getOption,
  mark,
  originalDestination,
  setDualStack,
  setReusePort,
  transparent,
} from '#common/sys/socket-options.ts';
import { createNet, needsRoot } from '../helpers/netns.ts';
import type { PodNetns } from '../helpers/netns.ts';

const skip = needsRoot;
const MARK = 0x4d1;
const slab = newSlab(2048);

/** A listener for both families, made inside a pod. */
function listenIn(pod: PodNetns, port: number): number {
  return inNetns(pod.fd, () => {
    const fd = socket(6);
    setDualStack(fd);
    setReusePort(fd);
    if (bind(fd, '::', port) < 0 || listen(fd) < 0) throw new Error('cannot listen');
    return fd;
  });
}

function acceptOne(listener: number): number {
  if (!waitReadable(listener, 3000)) throw new Error('no connection came');
  return accept(listener);
}

test(
  'inNetns() makes sockets that stay in their namespace, and comes back',
  { skip },
  async (t) => {
    const net = createNet(t, 'sys');
    const pod = net.node(1).pod('a');
    const listener = listenIn(pod, 8080);
    t.after(() => closeFd(listener));
    const outside = socket(4);
    t.after(() => closeFd(outside));
    t.equal(bind(outside, pod.address4 ?? '', 0), -EADDRNOTAVAIL, 'this thread is home again');
    const inside = inNetns(pod.fd, () => socketFor(pod.address4 ?? ''));
    t.after(() => closeFd(inside));
    t.equal(bind(inside, pod.address4 ?? '', 0), 0, 'the socket is there for life');
    connect(inside, pod.address4 ?? '', 8080);
    const far = acceptOne(listener);
    t.equal(peerOf(far)?.address, pod.address4);
    closeFd(far);
    t.throws(
      () =>
        inNetns(pod.fd, () => {
          throw new Error('in there');
        }),
      /in there/,
    );
    t.equal(bind(outside, pod.address4 ?? '', 0), -EADDRNOTAVAIL, 'also after a throw');
  },
);

test('openNetns() and inNetns() refuse what is no namespace', { skip }, async (t) => {
  t.throws(() => openNetns('/run/no-such-netns'), { code: 'NETNS_NOT_FOUND' });
  const file = openNetns('/proc/self/status');
  t.after(() => closeNetns(file));
  t.throws(() => inNetns(file, () => t.fail('it must not run')), {
    code: 'NETNS_NOT_ENTERED',
    message: /EINVAL/,
  });
});

test(
  'originalDestination() reads where a redirected connection was bound for',
  { skip },
  async (t) => {
    const net = createNet(t, 'sys');
    const pod = net.node(1).pod('a');
    for (const iptables of ['iptables', 'ip6tables']) {
      pod.exec(
        `${iptables} -t nat -A OUTPUT -p tcp --dport 9000 -m mark ! --mark ${MARK} -j REDIRECT --to-ports 15001`,
      );
    }
    const listener = listenIn(pod, 15_001);
    t.after(() => closeFd(listener));
    for (const address of ['10.200.1.2', 'fd00:200::7']) {
      const near = inNetns(pod.fd, () => socketFor(address));
      // Any address that is not ours will do; it needs a route, no host.
      pod.exec(
        address.includes(':')
          ? 'ip -6 route replace default dev lo'
          : 'ip route replace 10.200.0.0/16 dev lo',
      );
      connect(near, address, 9000);
      const far = acceptOne(listener);
      t.strictSame(originalDestination(far), { address, port: 9000 });
      t.equal(localOf(far)?.port, 15_001);
      [near, far].forEach(closeFd);
    }
  },
);

test('mark() lets the agent’s own connections past a redirect', { skip }, async (t) => {
  const net = createNet(t, 'sys');
  const pod = net.node(1).pod('a');
  pod.exec(
    `iptables -t nat -A OUTPUT -p tcp --dport 9000 -m mark ! --mark ${MARK} -j REDIRECT --to-ports 15001`,
  );
  const listener = listenIn(pod, 9000);
  t.after(() => closeFd(listener));
  const near = inNetns(pod.fd, () => socket(4));
  t.equal(mark(near, MARK), 0);
  t.equal(getOption(near, 1, 36), MARK);
  connect(near, pod.address4 ?? '', 9000);
  const far = acceptOne(listener);
  t.equal(localOf(far)?.port, 9000);
  [near, far].forEach(closeFd);
});

test('transparent() lets a socket carry a foreign source address', { skip }, async (t) => {
  const net = createNet(t, 'sys');
  const pod = net.node(1).pod('a');
  for (const [family, foreign] of [
    [4, '192.0.2.9'],
    [6, '2001:db8::9'],
  ] as const) {
    const fd = inNetns(pod.fd, () => socket(family));
    t.equal(bind(fd, foreign, 0), -EADDRNOTAVAIL);
    t.equal(transparent(fd, family), 0);
    t.equal(bind(fd, foreign, 0), 0);
    t.equal(localOf(fd)?.address, foreign);
    closeFd(fd);
  }
});

test('openPacketSocket() sees what crosses an interface, both ways', { skip }, async (t) => {
  const net = createNet(t, 'sys');
  const pod = net.node(1).pod('a');
  const other = net.node(2).pod('b');
  const packets = inNetns(pod.fd, () => openPacketSocket('eth0'));
  t.ok(packets >= 0);
  const listener = listenIn(pod, 8080);
  const near = inNetns(other.fd, () => socket(4));
  t.after(() => [packets, listener, near].forEach(closeFd));
  connect(near, pod.address4 ?? '', 8080);
  const far = acceptOne(listener);
  slab.bytes.write('a marker on the wire');
  send(near, slab, 0, 20);
  t.ok(waitReadable(far, 3000));
  t.equal(recv(far, slab, 0, 100), 20);
  closeFd(far);
  let seen = 0;
  for (;;) {
    const frame = receiveBytes(packets);
    if (frame === -EAGAIN) break;
    if (typeof frame !== 'number' && frame.includes('a marker on the wire')) seen += 1;
  }
  t.equal(seen, 1);
});

test('openNetlink() hears of changes in its own namespace', { skip }, async (t) => {
  const net = createNet(t, 'sys');
  const pod = net.node(1).pod('a');
  // NETLINK_ROUTE, group RTNLGRP_LINK.
  const fd = inNetns(pod.fd, () => openNetlink(0, [1]));
  t.after(() => closeFd(fd));
  t.equal(receiveBytes(fd), -EAGAIN);
  pod.exec('ip link add seen0 type bridge');
  t.ok(waitReadable(fd, 3000));
  const news = receiveBytes(fd);
  t.ok(typeof news !== 'number' && news.includes('seen0'));
});

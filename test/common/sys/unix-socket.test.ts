/** Descriptors and credentials over Unix sockets, and the waiting calls. */
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import type { Test } from 'tap';
import { EAGAIN, EMSGSIZE, ENOENT } from '#common/sys/constants.ts';
import { accept, closeFd, listen } from '#common/sys/libc.ts';
import { openEvent, signalEvent } from '#common/sys/epoll.ts';
import {
  openNetlink,
  openPacketSocket,
  receiveBytes,
  sendBytes,
  waitReadable,
  whenReadable,
} from '#common/sys/raw-sockets.ts';
import {
  bindUnix,
  connectUnix,
  MAX_DESCRIPTORS,
  MAX_MESSAGE_BYTES,
  peerCredentials,
  receiveDescriptors,
  sendDescriptors,
  unixPair,
  unixSocket,
} from '#common/sys/unix-socket.ts';
import type { Received } from '#common/sys/unix-socket.ts';

function pair(t: Test): readonly [number, number] {
  const made = unixPair();
  if (made === undefined) throw new Error('no socket pair');
  t.after(() => made.forEach(closeFd));
  return made;
}

function received(fd: number): Received {
  const message = receiveDescriptors(fd);
  if (typeof message === 'number') throw new Error(`errno ${-message}`);
  return message;
}

test('sendDescriptors() passes open files, message by message', async (t) => {
  const [near, far] = pair(t);
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'passed');
  writeFileSync(path, 'what is in it');
  const fd = openSync(path, 'r');
  t.equal(sendDescriptors(near, Buffer.from('one'), [fd]), 3);
  t.equal(sendDescriptors(near, Buffer.from('three'), [fd, fd, fd]), 5);
  t.equal(sendDescriptors(near, Buffer.from('none'), []), 4);
  closeSync(fd);
  const messages = [received(far), received(far), received(far)];
  t.strictSame(
    messages.map(({ payload }) => payload.toString()),
    ['one', 'three', 'none'],
  );
  t.strictSame(
    messages.map(({ descriptors }) => descriptors.length),
    [1, 3, 0],
  );
  const copies = messages.flatMap(({ descriptors }) => descriptors);
  const text = Buffer.alloc(13);
  readSync(copies[0] ?? -1, text);
  t.equal(text.toString(), 'what is in it');
  t.equal(new Set(copies.map((copy) => fstatSync(copy).ino)).size, 1);
  copies.forEach((copy) => closeSync(copy));
  t.equal(receiveDescriptors(far), -EAGAIN);
});

test('sendDescriptors() takes as many as one message may carry, and no more', async (t) => {
  const [near, far] = pair(t);
  const event = openEvent();
  t.after(() => closeFd(event));
  const full = Array.from({ length: MAX_DESCRIPTORS }, () => event);
  t.equal(sendDescriptors(near, Buffer.alloc(100_000, 1), full), 100_000);
  const { payload, descriptors } = received(far);
  t.equal(payload.length, 100_000);
  t.equal(descriptors.length, MAX_DESCRIPTORS);
  t.equal(new Set(descriptors).size, MAX_DESCRIPTORS);
  descriptors.forEach(closeFd);
  t.equal(sendDescriptors(near, Buffer.from('x'), [...full, event]), -EMSGSIZE);
  t.equal(sendDescriptors(near, Buffer.alloc(MAX_MESSAGE_BYTES + 1), []), -EMSGSIZE);
  t.equal(sendDescriptors(near, Buffer.alloc(0), []), -EMSGSIZE);
});

test('receiveDescriptors() tells the end by an empty payload', async (t) => {
  const made = unixPair();
  const [near = -1, far = -1] = made ?? [];
  closeFd(near);
  t.equal(received(far).payload.length, 0);
  closeFd(far);
});

test('peerCredentials() names the process at the other end of a named socket', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-'));
  const listener = unixSocket();
  const near = unixSocket();
  t.after(() => {
    [listener, near].forEach(closeFd);
    rmSync(folder, { recursive: true });
  });
  const path = join(folder, 'sock');
  t.equal(connectUnix(near, path), -ENOENT);
  t.equal(bindUnix(listener, path), 0);
  t.equal(listen(listener), 0);
  t.equal(connectUnix(near, path), 0);
  const far = accept(listener);
  t.after(() => closeFd(far));
  const mine = { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() };
  t.strictSame(peerCredentials(far), mine);
  t.strictSame(peerCredentials(near), mine);
  t.equal(peerCredentials(-1), undefined);
  t.throws(() => bindUnix(listener, 'x'.repeat(108)), { code: 'ADDRESS_INVALID' });
});

test('whenReadable() waits beside Node’s loop, waitReadable() in its place', async (t) => {
  const event = openEvent();
  t.after(() => closeFd(event));
  t.notOk(waitReadable(event, 1));
  t.notOk(await whenReadable(event, 1));
  const waiting = whenReadable(event, 5000);
  signalEvent(event);
  t.ok(await waiting);
  t.ok(waitReadable(event, 5000));
});

test('openNetlink() speaks with the kernel about interfaces', async (t) => {
  const fd = openNetlink(0);
  t.ok(fd >= 0);
  t.after(() => closeFd(fd));
  // RTM_GETLINK with NLM_F_REQUEST and NLM_F_DUMP, for all families.
  const question = Buffer.alloc(17 + 15);
  question.writeUInt32LE(question.length, 0);
  question.writeUInt16LE(18, 4);
  question.writeUInt16LE(0x301, 6);
  question.writeUInt32LE(77, 8);
  t.equal(sendBytes(fd, question), question.length);
  t.ok(waitReadable(fd, 1000));
  const answer = receiveBytes(fd);
  if (typeof answer === 'number') throw new Error(`errno ${-answer}`);
  t.equal(answer.readUInt16LE(4), 16, 'RTM_NEWLINK');
  t.equal(answer.readUInt32LE(8), 77);
  t.ok(answer.includes('lo\0'));
  t.ok(openNetlink(9999) < 0);
});

test('openPacketSocket() names an interface that is not there', async (t) => {
  t.equal(openPacketSocket('no-such-if'), -19);
});

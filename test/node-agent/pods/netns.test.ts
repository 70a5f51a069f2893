import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { test } from 'tap';
import { NetnsDirectory } from '../../../node-agent/pods/netns.ts';

test('NetnsDirectory refuses the namespace of the node itself', async (t) => {
  const dir = t.testdir();
  symlinkSync('/proc/self/ns/net', `${dir}/uid-1`);
  const pods = new NetnsDirectory(dir);
  t.throws(() => pods.open('uid-1'), { code: 'NETNS_NOT_FOUND', message: /node's own/ });
  t.equal(pods.list().size, 0);
});

test('NetnsDirectory takes nothing else for a namespace', async (t) => {
  const dir = t.testdir({ 'uid-1': 'a file that waits for its mount' });
  mkdirSync(`${dir}/uid-2`);
  symlinkSync('/nowhere', `${dir}/uid-3`);
  const pods = new NetnsDirectory(dir);
  for (const uid of ['uid-1', 'uid-2', 'uid-3', 'uid-4']) t.equal(pods.open(uid), undefined);
  t.equal(pods.list().size, 0);
});

test('NetnsDirectory refuses uids that lead elsewhere', async (t) => {
  const pods = new NetnsDirectory(t.testdir());
  for (const uid of ['', '..', '../x', 'a/b', '.hidden', 'x'.repeat(129)]) {
    t.throws(() => pods.open(uid), { code: 'NETNS_NOT_FOUND' });
  }
});

test('NetnsDirectory lists nothing when the directory goes away', async (t) => {
  const dir = t.testdir();
  const pods = new NetnsDirectory(dir);
  writeFileSync(`${dir}/x`, '');
  rmSync(dir, { recursive: true });
  t.equal(pods.list().size, 0);
});

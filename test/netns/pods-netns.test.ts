/** The agent finds the namespaces of its pods in a directory that somebody else fills. */
import { rmSync, symlinkSync } from 'node:fs';
import { test } from 'tap';
import { NetnsDirectory } from '../../node-agent/pods/netns.ts';
import { createNet, needsRoot as skip } from '../helpers/netns.ts';

test('NetnsDirectory finds the namespaces of pods', { skip }, async (t) => {
  const pod = createNet(t, 'pods', 1).node(1).pod('pod');
  const dir = t.testdir();
  const pods = new NetnsDirectory(dir);
  t.after(() => pods.stop());
  // Its own timer lets a process end that waits for nothing else.
  const alive = setInterval(() => {}, 1000);
  t.after(() => clearInterval(alive));
  const seen: string[][] = [];
  let changed = Promise.withResolvers<void>();
  pods.start((found) => {
    seen.push([...found.keys()]);
    changed.resolve();
  });
  changed = Promise.withResolvers<void>();
  symlinkSync(pod.path, `${dir}/uid-1`);
  await changed.promise;
  const found = pods.open('uid-1');
  t.equal(found?.identity, pods.list().get('uid-1'));
  changed = Promise.withResolvers<void>();
  rmSync(`${dir}/uid-1`);
  await changed.promise;
  t.strictSame(seen, [[], ['uid-1'], []]);
});

/** What a kubelet looks at, and what an agent does that has been replaced. */
import { existsSync, mkdtempSync, rmSync, statSync, utimesSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { test } from 'tap';
import { ReadyFile } from '../../node-agent/ready-file.ts';
import { successorGone } from '../../node-agent/successor.ts';

test('the ready file is there while the agent is ready, and young', async (t) => {
  const path = `${t.testdir()}/ready`;
  const now = { isReady: false };
  const file = new ReadyFile(path, () => now.isReady);
  file.start();
  t.notOk(existsSync(path));
  now.isReady = true;
  file.look();
  utimesSync(path, 1, 1);
  file.look();
  t.ok(Date.now() - statSync(path).mtimeMs < 60_000, 'touched again');
  now.isReady = false;
  file.look();
  t.notOk(existsSync(path));
  now.isReady = true;
  file.look();
  file.stop();
  t.notOk(existsSync(path), 'an agent that ends is not ready');
});

test('an agent that was replaced notices when its successor is gone', async (t) => {
  // A short path: the name of a socket has 108 bytes at most.
  const directory = mkdtempSync('/tmp/plumb-successor-');
  t.after(() => rmSync(directory, { recursive: true }));
  const successor = createServer((socket) => socket.end());
  successor.listen(`${directory}/agent.sock`);
  await once(successor, 'listening');
  let isGone = false;
  const gone = successorGone(directory, 10).then(() => (isGone = true));
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.notOk(isGone);
  successor.close();
  rmSync(`${directory}/agent.sock`, { force: true });
  await gone;
  t.ok(isGone);
});

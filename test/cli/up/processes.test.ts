/** Who a process is: pid and start time together, so a pid that came round again is another one. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'tap';
import {
  childOf,
  isAlive,
  killAll,
  markOf,
  ProcessList,
  processesIn,
  readProcessList,
  signal,
} from '../../../cli/up/processes.ts';

async function sleeper(t: { after(undo: () => void): void }) {
  const child = spawn('sleep', ['60']);
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  const mark = markOf(child.pid ?? 0);
  if (mark === undefined) throw new Error('no process');
  return { child, mark };
}

test('isAlive() is false for another process with the same pid', async (t) => {
  const { mark } = await sleeper(t);
  t.equal(isAlive(mark), true);
  t.equal(isAlive({ ...mark, started: '1' }), false);
});

test('signal() spares a process that only has the pid', async (t) => {
  const { child, mark } = await sleeper(t);
  signal({ ...mark, started: '1' }, 'SIGKILL');
  t.equal(isAlive(mark), true);
  signal(mark, 'SIGKILL');
  await once(child, 'exit');
  t.equal(isAlive(mark), false);
});

test('killAll() resolves when the processes are gone', async (t) => {
  const { mark } = await sleeper(t);
  t.equal(await killAll([mark, { pid: 1, started: '0' }]), true);
  t.equal(isAlive(mark), false);
});

test('markOf() finds nothing where there is no process', async (t) => {
  t.equal(markOf(0x3fffffff), undefined);
});

test('childOf() finds the process that a program waits for', async (t) => {
  const shell = spawn('sh', ['-c', 'sleep 60; true']);
  t.after(() => shell.kill('SIGKILL'));
  let child = childOf(shell.pid ?? 0);
  while (child === undefined) {
    await new Promise((resolve) => setImmediate(resolve));
    child = childOf(shell.pid ?? 0);
  }
  t.after(() => process.kill(child, 'SIGKILL'));
  t.ok(child > 0);
  t.equal(childOf(0x3fffffff), undefined);
});

test('readProcessList() reads what a ProcessList wrote, and nothing else', async (t) => {
  const directory = t.testdir({ broken: 'no pids here\n12\n-1 5\n' });
  const { mark } = await sleeper(t);
  const list = new ProcessList(`${directory}/processes`);
  list.add(mark.pid);
  list.add(0x3fffffff);
  t.strictSame(readProcessList(`${directory}/processes`), [mark]);
  list.remove(mark.pid);
  t.strictSame(readProcessList(`${directory}/processes`), []);
  t.strictSame(readProcessList(`${directory}/missing`), []);
  t.strictSame(readProcessList(`${directory}/broken`), []);
});

test('processesIn() finds processes by their namespace, and never this one', async (t) => {
  const { mark } = await sleeper(t);
  const found = processesIn(['/proc/self/ns/net']);
  t.ok(found.some(({ pid }) => pid === mark.pid));
  t.notOk(found.some(({ pid }) => pid === process.pid));
  t.strictSame(processesIn(['/does/not/exist']), []);
});

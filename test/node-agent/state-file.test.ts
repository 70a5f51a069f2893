import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test, type Test } from 'tap';
import { createLogger } from '../../common/log.ts';
import { loadState, StateFile, type SavedState } from '../../node-agent/state-file.ts';

function setUp(t: Test) {
  const lines: string[] = [];
  const { log } = createLogger({
    format: 'json',
    level: 'info',
    sink: { write: (l) => lines.push(l) > 0 },
  });
  const directory = `${t.testdir()}/state`;
  let state: SavedState = { epoch: 'e1', version: 7, snapshot: Buffer.from([1, 10, 0, 255]) };
  const file = new StateFile(directory, () => state, log);
  return { directory, file, log, lines, set: (next: SavedState) => (state = next) };
}

test('StateFile.flush() writes what loadState() reads', async (t) => {
  const { directory, file, log, set } = setUp(t);
  t.equal(loadState(directory, log), undefined);
  await file.flush();
  t.match(loadState(directory, log), { epoch: 'e1', version: 7 });
  t.strictSame([...(loadState(directory, log)?.snapshot ?? [])], [1, 10, 0, 255]);
  set({ epoch: 'e2', version: 8, snapshot: Buffer.alloc(0) });
  await file.flush();
  t.match(loadState(directory, log), { epoch: 'e2', version: 8 });
});

test('loadState() sets a damaged file aside and says so', async (t) => {
  const { directory, file, log, lines } = setUp(t);
  await file.flush();
  const path = `${directory}/mesh.state`;
  const bytes = readFileSync(path);
  const damaged = Buffer.from(bytes);
  damaged[damaged.length - 1] = 0;
  for (const content of [
    damaged,
    bytes.subarray(0, -1),
    Buffer.from('plumbline-state-2\ne 1 0\n'),
    Buffer.alloc(0),
  ]) {
    writeFileSync(path, content);
    t.equal(loadState(directory, log), undefined);
    t.equal(existsSync(path), false);
  }
  t.match(lines[0], /damaged/);
});

test('StateFile warns once when the disk refuses, and recovers', async (t) => {
  const { directory, file, log, lines } = setUp(t);
  rmSync(directory, { recursive: true });
  writeFileSync(directory, 'in the way');
  await file.flush();
  await file.flush();
  t.equal(lines.filter((line) => line.includes('cannot be saved')).length, 1);
  rmSync(directory);
  mkdirSync(directory);
  await file.flush();
  t.match(lines.at(-1), /saved again/);
  t.match(loadState(directory, log), { version: 7 });
});

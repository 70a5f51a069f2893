import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { createCommand, MOST_CHILDREN } from '../../../node-agent/capture/command.ts';

test('createCommand() gives input, takes output, and uses no shell', async (t) => {
  const command = createCommand();
  t.equal(await command({ program: 'cat', args: [], input: 'rules\n' }), 'rules\n');
  t.equal(await command({ program: 'echo', args: ['$(id); *'] }), '$(id); *\n');
});

test('createCommand() says how a program failed', async (t) => {
  const command = createCommand();
  const failing = command({ program: 'sh', args: ['-c', 'echo why >&2; echo more >&2; exit 3'] });
  await t.rejects(failing, { code: 'COMMAND_FAILED', message: /exit 3: why$/ });
  const missing = command({ program: 'plumb-no-such-program', args: [] });
  await t.rejects(missing, { code: 'COMMAND_FAILED', message: /cannot be started/ });
});

test('createCommand() takes the exit code for the outcome when input is not read', async (t) => {
  const input = 'x'.repeat(1 << 20);
  t.equal(await createCommand()({ program: 'true', args: [], input }), '');
});

test('createCommand() kills what takes too long or prints without end', async (t) => {
  const slow = createCommand(100)({ program: 'sleep', args: ['60'] });
  await t.rejects(slow, { code: 'COMMAND_FAILED', message: /SIGKILL/ });
  const endless = createCommand(20_000)({ program: 'yes', args: [] });
  await t.rejects(endless, { code: 'COMMAND_FAILED', message: /SIGKILL/ });
});

// Of NODE_OPTIONS this says nothing: tap puts it into the environment of every child.
test("createCommand() hands down nothing of the agent's environment but the path", async (t) => {
  process.env['PLUMB_SECRET'] = 'secret';
  t.after(() => delete process.env['PLUMB_SECRET']);
  const names = (await createCommand()({ program: 'env', args: [] }))
    .trim()
    .split('\n')
    .map((line) => line.split('=')[0]);
  t.notOk(names.includes('PLUMB_SECRET'));
  t.ok(names.includes('PATH'));
});

test('createCommand() runs only so many programs at once, and all of them in the end', async (t) => {
  const file = `${t.testdir()}/count`;
  const command = createCommand();
  // Each notes that it began, counts those that run, and notes that it ended.
  const script = `echo b >>${file}; sleep 0.05; echo $(( $(grep -c b ${file}) - $(grep -c e ${file}) )); echo e >>${file}`;
  const runs = Array.from({ length: 3 * MOST_CHILDREN }, async () =>
    command({ program: 'sh', args: ['-c', script] }),
  );
  const together = (await Promise.all(runs)).map(Number);
  t.ok(Math.max(...together) <= MOST_CHILDREN, `${Math.max(...together)} at once`);
  t.equal(readFileSync(file, 'utf8').match(/e/g)?.length, runs.length);
});

/** The command line as it is started: what goes where, and the exit code. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'tap';

const plumb = fileURLToPath(new URL('../../scripts/plumb', import.meta.url));
const run = promisify(execFile);

test('plumb refuses what it does not understand with exit code 2, and says where to look', async (t) => {
  const table: readonly (readonly [readonly string[], RegExp])[] = [
    [['bogus'], /unknown command 'bogus'/],
    [['status', '--bogus'], /unknown option '--bogus'/],
    [['dump', 'pods'], /Allowed choices are workloads, services/],
    [['up'], /missing required argument 'directory'/],
    [['up', '.', '--check', '--tour'], /cannot be used with/],
    [['log', '--lines', 'many'], /expected a whole number/],
  ];
  for (const [args, message] of table) {
    await t.rejects(run(plumb, args), { code: 2, stdout: '', stderr: message }, args.join(' '));
  }
});

test('plumb help describes every command, and --version is that of the package', async (t) => {
  const { stdout } = await run(plumb, ['help']);
  for (const name of ['up', 'status', 'dump', 'explain', 'log', 'ca', 'version']) {
    t.match(stdout, new RegExp(`^ {2}${name}\\b`, 'm'));
    t.match((await run(plumb, ['help', name])).stdout, new RegExp(`^Usage: plumb ${name}`));
  }
  t.match((await run(plumb, ['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
});

test('plumb up --check says that a directory without objects is none', async (t) => {
  const directory = t.testdir({ 'README.md': 'no YAML here' });
  await t.rejects(run(plumb, ['up', directory, '--check']), { code: 2, stderr: /no objects/ });
});

test('plumb ends quietly when nobody reads on', async (t) => {
  const child = spawn(plumb, ['help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  t.equal(said, '');
  t.equal(code, 0);
});

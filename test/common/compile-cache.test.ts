/** The compile cache: used where it may be, and never while coverage is measured. */
import { spawnSync } from 'node:child_process';
import { test } from 'tap';

const CODE = `
import { getCompileCacheDir } from 'node:module';
import { keepCompiled } from '#common/compile-cache.ts';
keepCompiled();
console.log(JSON.stringify([getCompileCacheDir() ?? '', process.env.NODE_COMPILE_CACHE ?? '']));
`;

function run(env: NodeJS.ProcessEnv): readonly string[] {
  const { NODE_OPTIONS: _, NODE_V8_COVERAGE: __, NODE_COMPILE_CACHE: ___, ...rest } = process.env;
  const cwd = new URL('../..', import.meta.url);
  const args = ['--input-type=module', '--disable-warning=ExperimentalWarning', '-e', CODE];
  const { stdout } = spawnSync(process.execPath, args, {
    cwd,
    env: { ...rest, ...env },
    encoding: 'utf8',
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the program above printed it
  return JSON.parse(stdout) as readonly string[];
}

test('keepCompiled() keeps compiled code beside the packages, for threads too', async (t) => {
  const [used = '', told = ''] = run({});
  t.match(used, /node_modules\/\.cache\/plumbline\/v26/);
  t.match(told, /node_modules\/\.cache\/plumbline$/);
});

test('keepCompiled() does nothing while coverage is measured or the cache is switched off', async (t) => {
  t.strictSame(run({ NODE_V8_COVERAGE: t.testdir() }), ['', '']);
  t.strictSame(run({ NODE_DISABLE_COMPILE_CACHE: '1' }), ['', '']);
});

/** A container's words and environment: as Kubernetes expands them, and nothing of ours in it. */
import { test } from 'tap';
import { commandOf } from '../../../cli/up/container-command.ts';
import type { DesiredContainer } from '../../../common/control/desired.ts';

const place = { directory: '/shop', podName: 'web-0', path: '/pinned/bin:/usr/bin' };

function container(own: Partial<DesiredContainer>): DesiredContainer {
  const none = { name: 'c', command: ['x'], args: [], env: [], workingDir: '', ports: [] };
  return { ...none, ...own };
}

test('commandOf() puts args behind the command and the pinned Node first in PATH', async (t) => {
  const { argv, env, cwd } = commandOf(
    container({ command: ['node', 'a.ts'], args: ['-x'] }),
    place,
  );
  t.strictSame(argv, ['node', 'a.ts', '-x']);
  t.equal(env['PATH'], '/pinned/bin:/usr/bin');
  t.equal(env['HOSTNAME'], 'web-0');
  t.equal(cwd, '/shop');
});

test('commandOf() gives a container nothing of the environment of plumb', async (t) => {
  process.env['PLUMB_TEST_SECRET'] = 'secret';
  t.teardown(() => delete process.env['PLUMB_TEST_SECRET']);
  const { env } = commandOf(container({}), place);
  t.strictSame(Object.keys(env).toSorted(), ['HOME', 'HOSTNAME', 'LANG', 'PATH']);
});

test('commandOf() expands $(NAME), keeps what is unknown, and reads $$ as a dollar sign', async (t) => {
  const { argv, env } = commandOf(
    container({
      args: ['$(HOST):$(PORT)', '$(NOPE)', '$$(HOST)', '$HOST', '$(__proto__)'],
      env: [
        { name: 'HOST', value: 'cart' },
        { name: 'PORT', value: '80' },
        { name: 'URL', value: 'http://$(HOST):$(PORT)/$(LATER)' },
        { name: 'LATER', value: 'x' },
      ],
    }),
    place,
  );
  t.strictSame(argv.slice(1), ['cart:80', '$(NOPE)', '$(HOST)', '$HOST', '$(__proto__)']);
  t.equal(env['URL'], 'http://cart:80/$(LATER)');
});

test('commandOf() takes workingDir from the directory unless it is absolute', async (t) => {
  t.equal(commandOf(container({ workingDir: 'app' }), place).cwd, '/shop/app');
  t.equal(commandOf(container({ workingDir: '/srv' }), place).cwd, '/srv');
});

/** The demonstration, as root and as anybody: every claim observed, in time, and nothing left. */
import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { cleanUp, namespacesOf, runDirOf } from '../../cli/up/run-dir.ts';
import { needsRoot } from '../helpers/netns.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const NOBODY = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
const LONGEST_MS = 60_000;

async function tour(name: string, before: readonly string[]) {
  const words = [
    ...before,
    `${root}scripts/plumb`,
    'up',
    `${root}examples/shop`,
    '--tour',
    '--name',
    name,
  ];
  const done = Promise.withResolvers<{ code: number | string; text: string }>();
  execFile(words[0] ?? '', words.slice(1), { timeout: 2 * LONGEST_MS }, (error, stdout, stderr) =>
    done.resolve({ code: error?.code ?? 0, text: `${stdout}${stderr}` }),
  );
  return done.promise;
}

function mayUnshare(): boolean {
  return spawnSync('setpriv', [...NOBODY, 'unshare', '-Urnm', 'true']).status === 0;
}

test(
  'plumb up --tour observes every claim in less than a minute, and leaves nothing',
  { skip: needsRoot },
  async (t) => {
    t.after(async () => void (await cleanUp(runDirOf('t-tour'))));
    const began = performance.now();
    const { code, text } = await tour('t-tour', []);
    t.equal(code, 0, text);
    t.match(text, /10 of 10 claims observed/);
    t.notMatch(text, /NOT OBSERVED/);
    t.ok(performance.now() - began < LONGEST_MS);
    t.strictSame(namespacesOf('t-tour'), []);
  },
);

test(
  'plumb up --tour works without root in a user namespace of its own',
  { skip: needsRoot },
  async (t) => {
    t.ok(mayUnshare(), 'this kernel lets nobody make user namespaces');
    const { code, text } = await tour('t-nobody', ['setpriv', ...NOBODY]);
    t.equal(code, 0, text);
    t.match(text, /10 of 10 claims observed/);
  },
);

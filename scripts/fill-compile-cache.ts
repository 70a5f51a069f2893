/**
 * Loads every module of the product once, so that Node's compile cache holds all of them.
 *
 * With the cache a program starts in half the time and needs 30 MB less, and so does each of its
 * threads: the part of Node that strips types from TypeScript is then never loaded. One module that is
 * missing is enough to load it, so programs and thread entries are in it too. The cache is keyed by
 * content: a stale one is only slower. It lies beside the packages and is as trusted as they are.
 */
import { execFileSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

const root = new URL('..', import.meta.url);

for (const path of globSync('{common,node-agent,controller,cli}/**/*.ts', { cwd: root })) {
  const url = new URL(path, root);
  if (path.endsWith('/main.ts')) {
    const flags = ['--disable-warning=ExperimentalWarning', fileURLToPath(url), '--version'];
    execFileSync(process.execPath, flags, { stdio: 'ignore' });
  } else if (path.endsWith('/worker.ts')) {
    // Without its start data it ends at once, but it has been compiled by then.
    const worker = new Worker(url);
    await new Promise<void>((resolve) => {
      worker.on('error', () => {});
      worker.on('exit', () => resolve());
    });
  } else await import(url.href);
}
flushCompileCache();

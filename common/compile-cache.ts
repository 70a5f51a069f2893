/**
 * Keeps the compiled form of our modules, so that the next start neither strips types nor compiles.
 *
 * It stands beside the packages, where whoever may write could change the code itself; an image may be
 * built with it. Where nothing can be written a program starts as without. To be called before the
 * modules that it is for are loaded; worker threads that start later use it too.
 */
import { constants, enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

const DIRECTORY = fileURLToPath(new URL('../node_modules/.cache/plumbline', import.meta.url));

export function keepCompiled(): void {
  // Coverage is told by function, and less exactly for what was not compiled here and now.
  if (process.env['NODE_V8_COVERAGE'] !== undefined) return;
  const { status, directory } = enableCompileCache(DIRECTORY);
  const { ENABLED } = constants.compileCacheStatus;
  if (status === ENABLED && directory !== undefined) process.env['NODE_COMPILE_CACHE'] = DIRECTORY;
}

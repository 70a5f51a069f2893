/**
 * Rids sources of their types, in place, keeping every line and column:
 *   node strip.ts DIR       all .ts files below DIR; and DIR/stripped.js, to be preloaded
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';

const PRELOAD = join(import.meta.dirname, 'stripped.ts');

export function strip(dir: string): void {
  for (const path of globSync('**/*.ts', {
    cwd: dir,
    exclude: (name) => name === 'node_modules',
  })) {
    const file = join(dir, path);
    writeFileSync(file, stripTypeScriptTypes(readFileSync(file, 'utf8')));
  }
  writeFileSync(join(dir, 'stripped.js'), stripTypeScriptTypes(readFileSync(PRELOAD, 'utf8')));
}

if (import.meta.main) strip(process.argv[2] ?? '.');

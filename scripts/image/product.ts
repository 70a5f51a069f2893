/** The top layer: our sources as they stand in the checkout but for their types, and `plumb` in PATH. */
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, globSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { strip } from './strip.ts';

const PLUMB = `#!/bin/sh
exec /usr/local/bin/node --disable-warning=ExperimentalWarning --import=/opt/plumbline/stripped.js /opt/plumbline/cli/main.ts "$@"
`;

/** Every file of the product with its digest. */
export function productFiles(root: string): (readonly [string, string])[] {
  const found = globSync(
    ['{common,controller,node-agent,waypoint,cli}/**/*', 'package.json', 'LICENSE'],
    {
      cwd: root,
    },
  );
  return found
    .filter((path) => statSync(join(root, path)).isFile())
    .toSorted()
    .map((path) => [
      path,
      createHash('sha256')
        .update(readFileSync(join(root, path)))
        .digest('hex'),
    ]);
}

export function buildProduct(into: string, root: string): void {
  for (const [path] of productFiles(root)) {
    const to = join(into, 'opt/plumbline', path);
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(join(root, path), to);
  }
  strip(join(into, 'opt/plumbline'));
  const plumb = join(into, 'usr/local/bin/plumb');
  mkdirSync(dirname(plumb), { recursive: true });
  writeFileSync(plumb, PLUMB);
  chmodSync(plumb, 0o755);
}

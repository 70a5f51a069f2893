/** The directory on which the tour acts: a copy, since it edits what is in force while it runs. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { MeshError } from '#common/errors.ts';
import type { RunDir } from '../run-dir.ts';

/** Copies the YAML and the programs; returns the directory to run from. */
export function copyForTour(source: string, dir: RunDir): string {
  const target = `${dir.memory}/tour`;
  cpSync(source, target, { recursive: true });
  return target;
}

/** Replaces a text in every YAML file that holds it; throws when none does. */
export function editYaml(directory: string, from: string, to: string): void {
  let edited = 0;
  for (const name of readdirSync(directory)) {
    if (!/\.ya?ml$/.test(name)) continue;
    const path = `${directory}/${name}`;
    const before = readFileSync(path, 'utf8');
    if (!before.includes(from)) continue;
    writeFileSync(path, before.replaceAll(from, to));
    edited += 1;
  }
  if (edited === 0) {
    throw new MeshError(
      'OBJECT_INVALID',
      `Cannot edit "${directory}": no YAML in it says "${from}"`,
    );
  }
}

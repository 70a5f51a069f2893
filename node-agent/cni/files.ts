/** Files that others may take away at any moment: what is not there reads as nothing. */
import { readdirSync, readFileSync } from 'node:fs';

export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // Not there, or gone in this very moment.
  }
}

export function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // Made by somebody else, later.
  }
}

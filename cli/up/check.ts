/**
 * Asks the controller's own reader whether a directory of YAML is in order; starts nothing.
 */
import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { MeshError } from '#common/errors.ts';
import type { Installation } from './installation.ts';

export interface CheckResult {
  readonly ok: boolean;
  /** What the controller printed: a line for each problem, or a summary. */
  readonly text: string;
}

const TIMEOUT_MS = 60_000;
const MOST_OUTPUT_BYTES = 16 << 20;
/** The controller's exit code for a directory with problems. */
const HAS_PROBLEMS = 2;

/** Returns the absolute path of a directory that exists. */
export function existingDirectory(path: string): string {
  const absolute = resolve(path);
  if (statSync(absolute, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new MeshError('CONFIG_INVALID', `Cannot use "${path}": it is not a directory`);
  }
  return absolute;
}

export async function checkDirectory(
  directory: string,
  installation: Installation,
): Promise<CheckResult> {
  const [program = '', ...args] = installation.program('controller', { directory });
  const done = Promise.withResolvers<CheckResult>();
  execFile(
    program,
    [...args, '--check'],
    { env: installation.environment, timeout: TIMEOUT_MS, maxBuffer: MOST_OUTPUT_BYTES },
    (error, stdout, stderr) => {
      const text = `${stdout}${stderr}`;
      if (error === null) done.resolve({ ok: true, text });
      else if (error.code === HAS_PROBLEMS) done.resolve({ ok: false, text });
      else {
        const found = text.trim() || error.message;
        done.reject(
          new MeshError('COMMAND_FAILED', `Cannot check "${directory}": ${found}`, {
            cause: error,
          }),
        );
      }
    },
  );
  return done.promise;
}

/**
 * Runs the programs of the system that build and take down the world: ip, mount, nsenter.
 *
 * A command that fails throws with its own words; nothing here goes through a shell, so no name
 * from a YAML file is ever read as code.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { MeshError } from '#common/errors.ts';

/** Nothing that is called here takes a second when the machine is well. */
const TIMEOUT_MS = 30_000;
const MOST_OUTPUT_BYTES = 16 << 20;

/** Runs a program to its end and returns what it printed. */
export async function run(program: string, args: readonly string[], input = ''): Promise<string> {
  const done = Promise.withResolvers<string>();
  const child = execFile(
    program,
    [...args],
    { timeout: TIMEOUT_MS, maxBuffer: MOST_OUTPUT_BYTES, env: systemEnvironment() },
    (error, stdout, stderr) => {
      if (error === null) done.resolve(stdout);
      else done.reject(failure(program, args, stderr.trim() || error.message, error));
    },
  );
  child.stdin?.on('error', () => {}); // It may end without having read; its exit code says so.
  child.stdin?.end(input);
  return done.promise;
}

/** Runs `ip` on several lines in one network namespace; the first that fails ends it. */
export async function ip(netns: string, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  await run('ip', ['-n', netns, '-batch', '-'], `${lines.join('\n')}\n`);
}

/** Names those of `programs` that are not in PATH. */
export function missingPrograms(programs: readonly string[]): string[] {
  const folders = (systemEnvironment()['PATH'] ?? '').split(':');
  return programs.filter((program) => !folders.some((folder) => isProgram(`${folder}/${program}`)));
}

/** PATH with the folders of system programs, which a user's own PATH may lack; no NODE_OPTIONS. */
export function systemEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, PATH = '', ...rest } = process.env;
  const system = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
  const own = PATH.split(':').filter((folder) => folder !== '');
  return { ...rest, LC_ALL: 'C', PATH: [...new Set([...own, ...system])].join(':') };
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function failure(program: string, args: readonly string[], found: string, cause: Error): MeshError {
  return new MeshError('COMMAND_FAILED', `Cannot run "${[program, ...args].join(' ')}": ${found}`, {
    cause,
  });
}

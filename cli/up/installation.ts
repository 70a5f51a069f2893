/**
 * Where the programs of the mesh are in this checkout, and the environment they are started with.
 */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemEnvironment } from './command.ts';

export interface Installation {
  /** The words that start a program with these flags: its Node, its main file, the flags. */
  program(
    name: 'controller' | 'node-agent',
    flags: Readonly<Record<string, string>>,
  ): readonly string[];
  /** The script that runs the command line. */
  readonly plumb: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Folders of programs, that of this Node first. */
  readonly path: string;
}

export function thisInstallation(): Installation {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const environment = systemEnvironment();
  const path = `${dirname(process.execPath)}:${environment['PATH'] ?? ''}`;
  return {
    program: (name, flags) => [
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      `${root}${name}/main.ts`,
      ...Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]),
    ],
    plumb: `${root}scripts/plumb`,
    environment: { ...environment, PATH: path },
    path,
  };
}

/**
 * A directory of YAML as objects, whole or not at all: with any problem there are no objects.
 *
 * Reads the files that end in .yaml or .yml, at any depth, in the order of their paths, through links to files but not to
 * folders, and not what begins with a dot or lies in node_modules. Every input is bounded.
 */
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '#common/errors.ts';
import { formatProblem, type Problem } from '#common/control/desired.ts';
import { decodeDocument, type Located } from './directory-decode.ts';
import { parseYaml } from './directory-yaml.ts';
import { checkReferences } from './references.ts';
import type { Declared } from './schemas/kinds.ts';
import { warningsOf } from './warnings.ts';

const MAX_FILES = 2_000;
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const MAX_OBJECTS = 20_000;
const MAX_DEPTH = 16;
/** A mistake repeated in every file needs no more lines than these to be understood. */
const MAX_PROBLEMS = 200;

export interface LoadedDirectory {
  readonly objects: readonly Declared[];
  readonly problems: readonly Problem[];
  /** What was taken, but not as its author may think. */
  readonly warnings: readonly Problem[];
}

export interface SourceFile {
  /** Relative to the directory. */
  readonly path: string;
  /** Differs when the file was changed. */
  readonly stamp: string;
  readonly bytes: number;
}

/** Lists the files that make up the directory; throws `CONFIG_INVALID` when there is no such one. */
export async function listFiles(directory: string): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  await walk(directory, '', 0, files);
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

export async function loadDirectory(directory: string): Promise<LoadedDirectory> {
  return readFiles(directory, await listFiles(directory));
}

export async function readFiles(
  directory: string,
  files: readonly SourceFile[],
): Promise<LoadedDirectory> {
  const problems: Problem[] = [];
  const located: Located[] = [];
  for (const { path, bytes } of files) {
    if (bytes > MAX_FILE_BYTES) {
      problems.push(wholeFile(path, `${bytes} bytes; expected at most ${MAX_FILE_BYTES}`));
      continue;
    }
    const text = await readText(join(directory, path));
    if (typeof text !== 'string') {
      problems.push(wholeFile(path, `cannot be read: ${text.reason}`));
      continue;
    }
    const parsed = parseYaml(path, text);
    problems.push(...parsed.problems);
    for (const document of parsed.documents) {
      const decoded = decodeDocument(document);
      if ('problems' in decoded) problems.push(...decoded.problems);
      else located.push(decoded.located);
    }
  }
  if (located.length > MAX_OBJECTS) {
    problems.push(wholeFile('.', `${located.length} objects; expected at most ${MAX_OBJECTS}`));
  }
  // Without the objects that could not be read, every reference to them would seem to dangle.
  if (problems.length === 0) problems.push(...checkReferences(located));
  return problems.length === 0
    ? {
        objects: located.map(({ object }) => object),
        problems,
        warnings: bounded(warningsOf(located)),
      }
    : { objects: [], problems: bounded(problems), warnings: [] };
}

/** One error for a whole directory: its first mistake, and how many more there are. */
export function directoryError(directory: string, problems: readonly Problem[]): MeshError {
  const [first] = problems;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  const found = first === undefined ? 'it holds no objects' : formatProblem(first) + more;
  return new MeshError('CONFIG_INVALID', `Cannot use the directory "${directory}": ${found}`, {
    details: { directory, problems: problems.length },
  });
}

async function walk(root: string, path: string, depth: number, files: SourceFile[]): Promise<void> {
  const entries = await readdir(join(root, path), { withFileTypes: true }).catch(
    (error: unknown) => {
      // A folder that went away while we looked is not a mistake; a missing root is.
      if (path !== '' && isGone(error)) return [];
      const message = `Cannot read the directory "${join(root, path)}": not readable`;
      throw new MeshError('CONFIG_INVALID', message, { cause: error });
    },
  );
  for (const entry of entries) {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
    const at = path === '' ? entry.name : `${path}/${entry.name}`;
    if (entry.isDirectory()) await walkInto(root, at, depth, files);
    if (entry.isDirectory() || !/\.ya?ml$/.test(entry.name)) continue;
    const found = await stat(join(root, at)).catch((error: unknown) =>
      isGone(error) && !entry.isSymbolicLink() ? undefined : UNREADABLE,
    );
    if (found?.isFile() !== true) continue;
    if (files.length >= MAX_FILES) {
      throw new MeshError(
        'CONFIG_INVALID',
        `Cannot read the directory "${root}": more than ${MAX_FILES} YAML files`,
      );
    }
    files.push({
      path: at,
      stamp: `${found.ino} ${found.size} ${found.mtimeMs} ${found.ctimeMs}`,
      bytes: found.size,
    });
  }
}

async function walkInto(
  root: string,
  path: string,
  depth: number,
  files: SourceFile[],
): Promise<void> {
  if (depth < MAX_DEPTH) return walk(root, path, depth + 1, files);
  throw new MeshError(
    'CONFIG_INVALID',
    `Cannot read the directory "${root}": "${path}" is more than ${MAX_DEPTH} folders deep`,
  );
}

/** What a link that leads nowhere counts as: a file whose reading will say why it fails. */
const UNREADABLE = { isFile: () => true, ino: 0, size: 0, mtimeMs: 0, ctimeMs: 0 };

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

async function readText(path: string): Promise<string | { reason: string }> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    return { reason: error instanceof Error ? error.message : 'unknown' };
  }
}

function wholeFile(file: string, message: string): Problem {
  return { file, line: 0, object: '', field: '', message };
}

function bounded(problems: readonly Problem[]): Problem[] {
  if (problems.length <= MAX_PROBLEMS) return [...problems];
  const rest = problems.length - MAX_PROBLEMS;
  return [...problems.slice(0, MAX_PROBLEMS), wholeFile('.', `${rest} more of them`)];
}

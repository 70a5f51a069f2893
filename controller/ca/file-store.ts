/**
 * The state of the CA in one file, root's alone (0600), written aside, synced and renamed: after a
 * crash it is the state of before or after a step, never between.
 *
 * One controller uses a directory; the roots stand beside the state, for agents to read.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { MeshError } from '#common/errors.ts';
import { decodeCaState, encodeCaState, type CaState } from './state.ts';
import type { CaStore, StoredCa } from './store.ts';

export class FileCaStore implements CaStore {
  readonly isShared = false;
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async load(): Promise<StoredCa | undefined> {
    const path = this.#path;
    if (!existsSync(path)) return undefined;
    const unreadable = (found: string, cause?: unknown): MeshError =>
      new MeshError('STATE_UNREADABLE', `Cannot open the CA at "${path}": ${found}`, { cause });
    const { mode } = statSync(path);
    if ((mode & 0o077) !== 0) {
      throw unreadable(`others than its owner may read it (mode ${(mode & 0o777).toString(8)})`);
    }
    try {
      const written = readFileSync(path, 'utf8');
      return { state: decodeCaState(written), revision: revisionOf(written) };
    } catch (cause) {
      throw unreadable('it is damaged; restore it from a copy', cause);
    }
  }

  async save(state: CaState, revision: string): Promise<string | undefined> {
    const directory = this.#directory;
    const path = this.#path;
    const kept = existsSync(path) ? revisionOf(readFileSync(path, 'utf8')) : '';
    if (kept !== revision) return undefined;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const written = encodeCaState(state);
    replaceFile(path, written, 0o600);
    // Public; given to agents as --controller-ca.
    const roots = state.authorities.map(({ rootPem }) => rootPem).join('');
    replaceFile(`${directory}/roots.pem`, roots, 0o644);
    syncDirectory(directory);
    return revisionOf(written);
  }

  get #path(): string {
    return `${this.#directory}/ca.json`;
  }
}

function revisionOf(written: string): string {
  return createHash('sha256').update(written).digest('hex');
}

function replaceFile(path: string, content: string, mode: number): void {
  const file = openSync(`${path}.new`, 'w', mode);
  try {
    writeSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
}

function syncDirectory(directory: string): void {
  const file = openSync(directory, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

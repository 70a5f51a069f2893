/**
 * What the CA must not lose: its authorities with their keys, and how far a rotation has come.
 *
 * One file, root's alone (0600), written aside, synced and renamed: after a crash it is the state of
 * before or after a step, never between. A file that cannot be read stops the controller, since a new
 * CA in its place would cut every agent off.
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
import {
  decodeText,
  integer,
  lines,
  list,
  matching,
  object,
  oneOf,
  text,
} from '#common/control/decode.ts';
import { MeshError } from '#common/errors.ts';

/** A root and the certificate under it that signs leaves, with both keys. All PEM. */
export interface Authority {
  /** SHA-256 of the root's DER, in hex. */
  readonly id: string;
  readonly rootPem: string;
  readonly rootKeyPem: string;
  readonly issuingPem: string;
  readonly issuingKeyPem: string;
}

/**
 * `stable`: one root. `distributing`: a new root is being made known. `switched`: leaves are signed
 * under the new root, old ones are being replaced. `retiring`: the old root is being taken back.
 */
export type Phase = 'stable' | 'distributing' | 'switched' | 'retiring';

/** A node that may hold leaves, and until when at the latest. */
export interface NodeLeaves {
  readonly node: string;
  readonly untilMs: number;
}

export interface CaState {
  readonly format: 1;
  readonly trustDomain: string;
  /** Rises with every change of the set of roots or of the authority. */
  readonly generation: number;
  readonly phase: Phase;
  readonly phaseSinceMs: number;
  /** All that are trusted, oldest first. */
  readonly authorities: readonly Authority[];
  /** The one that signs. */
  readonly current: string;
  readonly nodes: readonly NodeLeaves[];
}

const LONGEST_FILE = 16 * 1024 * 1024;
const LONGEST_PEM = 16_384;
const id = matching(/^[0-9a-f]{64}$/, 'a SHA-256 in hex');
const timeMs = integer(0, 8.64e15);

const decoder = object<CaState>({
  format: oneOf(1),
  trustDomain: text(255),
  generation: integer(1, Number.MAX_SAFE_INTEGER),
  phase: oneOf('stable', 'distributing', 'switched', 'retiring'),
  phaseSinceMs: timeMs,
  authorities: list(
    object<Authority>({
      id,
      rootPem: lines(LONGEST_PEM),
      rootKeyPem: lines(LONGEST_PEM),
      issuingPem: lines(LONGEST_PEM),
      issuingKeyPem: lines(LONGEST_PEM),
    }),
    2,
  ),
  current: id,
  nodes: list(object<NodeLeaves>({ node: text(253), untilMs: timeMs }), 65_536),
});

function pathIn(directory: string): string {
  return `${directory}/ca.json`;
}

/** Reads the state; undefined when there has never been one. */
export function loadCaState(directory: string): CaState | undefined {
  const path = pathIn(directory);
  if (!existsSync(path)) return undefined;
  const unreadable = (found: string, cause?: unknown): MeshError =>
    new MeshError('STATE_UNREADABLE', `Cannot open the CA at "${path}": ${found}`, { cause });
  const { mode } = statSync(path);
  if ((mode & 0o077) !== 0) {
    throw unreadable(`others than its owner may read it (mode ${(mode & 0o777).toString(8)})`);
  }
  try {
    return decodeText(readFileSync(path, 'utf8'), {
      what: 'the state of the CA',
      decoder,
      maxLength: LONGEST_FILE,
    });
  } catch (cause) {
    throw unreadable('it is damaged; restore it from a copy', cause);
  }
}

export function saveCaState(directory: string, state: CaState): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { authorities } = state;
  replaceFile(pathIn(directory), JSON.stringify(state), 0o600);
  // Public; given to agents as --controller-ca.
  replaceFile(`${directory}/roots.pem`, authorities.map(({ rootPem }) => rootPem).join(''), 0o644);
  syncDirectory(directory);
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

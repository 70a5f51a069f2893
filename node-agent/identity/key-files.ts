/**
 * Keys and certificates on a memory file system, so that an agent that starts anew while the
 * controller is away has its identities again, and a machine that was switched off has none.
 *
 * One file per identity, root's alone (0600 in a 0700 directory), written aside and renamed. On a file
 * system that is not in memory nothing is written at all: a key must never reach a disk.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { decodeText, lines, object, text } from '#common/control/decode.ts';
import { parseIdentity } from '#common/identity.ts';
import type { Logger } from '#common/log.ts';
import type { Credentials } from '#common/tls/certificate.ts';

const TMPFS = 0x0102_1994;
const RAMFS = 0x8584_58f6;
const LONGEST_FILE = 128 * 1024;

export type KeptKey = Pick<Credentials, 'identity' | 'chainPem' | 'keyPem'>;

interface FileContent {
  readonly identity: string;
  readonly chainPem: string;
  readonly keyPem: string;
}

const decoder = object<FileContent>({
  identity: text(640),
  chainPem: lines(65_536),
  keyPem: lines(8192),
});

export class KeyFiles {
  readonly #directory: string;
  readonly #log: Logger;
  readonly #inMemory: boolean;

  constructor(directory: string, log: Logger) {
    this.#directory = directory;
    this.#log = log;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const { type } = statfsSync(directory);
    this.#inMemory = type === TMPFS || type === RAMFS;
    if (!this.#inMemory) {
      log.warn('keys are not kept: the directory is not on a memory file system', { directory });
    }
  }

  /** Reads all that is there; a file that is damaged, or open to others, is removed. */
  load(): KeptKey[] {
    if (!this.#inMemory) return [];
    return readdirSync(this.#directory).flatMap((name) => {
      const path = `${this.#directory}/${name}`;
      try {
        return [readKept(path)];
      } catch (error) {
        this.#log.warn('a kept key cannot be used and is removed', { path, error });
        rmSync(path, { force: true });
        return [];
      }
    });
  }

  async save({ identity, chainPem, keyPem }: KeptKey): Promise<void> {
    if (!this.#inMemory) return;
    const path = this.#pathOf(identity);
    try {
      await writeFile(`${path}.new`, JSON.stringify({ identity, chainPem, keyPem }), {
        mode: 0o600,
      });
      await rename(`${path}.new`, path);
    } catch (error) {
      this.#log.warn('a key cannot be kept; a restart will need the controller', { path, error });
    }
  }

  async remove(identity: string): Promise<void> {
    await rm(this.#pathOf(identity), { force: true });
  }

  #pathOf(identity: string): string {
    return `${this.#directory}/${createHash('sha256').update(identity).digest('hex')}.json`;
  }
}

function readKept(path: string): KeptKey {
  const { mode, size } = statSync(path);
  if ((mode & 0o077) !== 0) throw new TypeError('others may read or write it');
  if (size > LONGEST_FILE) throw new RangeError('it is too long');
  const found = decodeText(readFileSync(path, 'utf8'), {
    what: 'a kept key',
    decoder,
    maxLength: LONGEST_FILE,
  });
  const identity = parseIdentity(found.identity);
  if (identity === undefined) throw new TypeError('it names no identity');
  return { identity, chainPem: found.chainPem, keyPem: found.keyPem };
}

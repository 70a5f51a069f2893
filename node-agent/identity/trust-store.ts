/**
 * Which roots this node trusts: the newest set that the controller sent, kept on disk.
 *
 * For peers it is exactly that set; during a rotation it holds the old root and the new. For the
 * controller itself the roots of the file that the operator gave count too, so that a node that
 * missed a whole rotation finds back as soon as that file is new.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { decodeText, integer, lines, list, matching, object } from '#common/control/decode.ts';
import type { Trust } from '#common/control/messages.ts';
import type { Logger } from '#common/log.ts';
import { readRoots, splitPem } from '#common/tls/trust.ts';

const LONGEST_FILE = 256 * 1024;

const decoder = object<Trust>({
  generation: integer(0, Number.MAX_SAFE_INTEGER),
  roots: list(lines(16_384), 8),
  authority: matching(/^[0-9a-f]{64}$/, 'a SHA-256 in hex'),
});

export interface TrustStoreOptions {
  /** Survives a restart of the machine. */
  readonly stateDir: string;
  /** PEM, given by the operator. */
  readonly controllerCa: string;
  readonly log: Logger;
}

export class TrustStore {
  readonly #options: TrustStoreOptions;
  readonly #path: string;
  #trust: Trust | undefined;

  constructor(options: TrustStoreOptions) {
    this.#options = options;
    this.#path = `${options.stateDir}/trust.json`;
    mkdirSync(options.stateDir, { recursive: true, mode: 0o700 });
    this.#trust = this.#load();
  }

  /** Undefined until the controller has been reached for the first time. */
  get trust(): Trust | undefined {
    return this.#trust;
  }

  /** PEM; what peers are verified against. */
  get roots(): readonly string[] {
    return this.#trust?.roots ?? [];
  }

  /** PEM; what the controller is verified against. Reads the operator's file anew. */
  async controllerRoots(): Promise<readonly string[]> {
    const given = splitPem(await readFile(this.#options.controllerCa, 'utf8'));
    return [...new Set([...given, ...this.roots.flatMap(splitPem)])];
  }

  /** Takes a new set; throws `CERTIFICATE_INVALID` and keeps the old when it cannot be used. */
  async set(trust: Trust): Promise<void> {
    readRoots(trust.roots);
    this.#trust = trust;
    try {
      await writeFile(`${this.#path}.new`, JSON.stringify(trust), { mode: 0o600 });
      await rename(`${this.#path}.new`, this.#path);
    } catch (error) {
      this.#options.log.warn('roots cannot be saved; serving from memory', {
        path: this.#path,
        error,
      });
    }
  }

  #load(): Trust | undefined {
    let content: string;
    try {
      content = readFileSync(this.#path, 'utf8');
    } catch {
      return undefined;
    }
    try {
      const trust = decodeText(content, {
        what: 'saved roots',
        decoder,
        maxLength: LONGEST_FILE,
      });
      readRoots(trust.roots);
      return trust;
    } catch (error) {
      this.#options.log.warn('saved roots cannot be used', { path: this.#path, error });
      return undefined;
    }
  }
}

/**
 * Who an agent is, by the token that it shows. A token stands for one node and nothing else.
 *
 * In a cluster a TokenReview answers (reviewed-tokens.ts); without one a file does, made by who starts
 * the agents. The file is read again when it has changed, so a node can be added or taken away while the controller runs.
 * Tokens are looked up by their hash, so how long a look-up takes tells nothing about them.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { MeshError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';

export interface Caller {
  readonly node: string;
  /** Of the pod to which the token is bound; the caller goes with it. */
  readonly podUid?: string;
}

/**
 * Resolves with the caller, or undefined when the token is none of ours. Rejects when that cannot be
 * told now; the caller may come again.
 */
export type Authenticate = (token: string) => Promise<Caller | undefined>;

const SHORTEST_TOKEN = 32;
const LONGEST_FILE = 16 * 1024 * 1024;
const LINE = /^(?<node>[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)\s+(?<token>[\w.~+/=-]{1,4096})$/;

/** A file of lines `<node> <token>`; empty lines and those with `#` in front say nothing. */
export class TokenFile {
  readonly #path: string;
  readonly #log: Logger;
  #seen = '';
  #nodeByHash: ReadonlyMap<string, string> = new Map();

  /** Reads the file; throws `CONFIG_INVALID` when it cannot be used. */
  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
    this.#load();
  }

  readonly authenticate: Authenticate = async (token) => {
    try {
      this.#load();
    } catch (error) {
      this.#log.error('tokens cannot be read again; those known stay', { error });
    }
    const node = this.#nodeByHash.get(hashOf(token));
    return node === undefined ? undefined : { node };
  };

  #load(): void {
    const path = this.#path;
    const invalid = (found: string, cause?: unknown): MeshError =>
      new MeshError('CONFIG_INVALID', `Cannot use the tokens in "${path}": ${found}`, { cause });
    let content: string;
    try {
      const { mode, mtimeMs, size, ino } = statSync(path);
      const seen = `${ino} ${mtimeMs} ${size}`;
      if (seen === this.#seen) return;
      if ((mode & 0o077) !== 0) throw invalid('others than its owner may read it');
      if (size > LONGEST_FILE) throw invalid('it is too long');
      content = readFileSync(path, 'utf8');
      this.#seen = seen;
    } catch (cause) {
      throw cause instanceof MeshError ? cause : invalid('it cannot be read', cause);
    }
    const nodes = new Map<string, string>();
    for (const [i, line] of content.split('\n').entries()) {
      if (line.trim() === '' || line.startsWith('#')) continue;
      const { node = '', token = '' } = LINE.exec(line.trim())?.groups ?? {};
      if (node === '') throw invalid(`line ${i + 1}: expected "<node> <token>"`);
      if (token.length < SHORTEST_TOKEN) {
        throw invalid(`line ${i + 1}: the token is shorter than ${SHORTEST_TOKEN} characters`);
      }
      nodes.set(hashOf(token), node);
    }
    this.#nodeByHash = nodes;
  }
}

/** By which tokens are looked up, so that none is kept. */
export function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}

/** The tokens by which the controller knows the agents of its nodes: made here, one for each node. */
import { randomBytes } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';

const TOKEN_BYTES = 32;

export class NodeTokens {
  readonly path: string;
  readonly #tokenByNode = new Map<string, string>();

  constructor(path: string) {
    this.path = path;
    this.#write();
  }

  /** Makes a token for a node; the controller reads the file again when it has changed. */
  add(node: string): string {
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    this.#tokenByNode.set(node, token);
    this.#write();
    return token;
  }

  remove(node: string): void {
    if (this.#tokenByNode.delete(node)) this.#write();
  }

  #write(): void {
    const lines = Array.from(this.#tokenByNode, ([node, token]) => `${node} ${token}\n`);
    writeFileSync(`${this.path}.new`, lines.join(''), { mode: 0o600 });
    renameSync(`${this.path}.new`, this.path);
  }
}

/**
 * What a program of the mesh prints, kept on disk within a bound.
 *
 * A file that has grown full becomes `NAME.1` and a new one begins, so the last megabytes are there
 * and a program that prints without end fills no memory file system.
 */
import { closeSync, openSync, renameSync, writeSync } from 'node:fs';

const LONGEST_BYTES = 8 << 20;

export class LogFile {
  readonly path: string;
  #fd: number;
  #length = 0;

  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, 'a', 0o600);
  }

  write(bytes: Uint8Array): void {
    if (this.#fd < 0) return;
    if (this.#length > 0 && this.#length + bytes.length > LONGEST_BYTES) this.#rotate();
    try {
      this.#length += writeSync(this.#fd, bytes);
    } catch {
      // A full disk costs log lines; the mesh goes on.
    }
  }

  line(text: string): void {
    this.write(Buffer.from(`${text}\n`));
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #rotate(): void {
    closeSync(this.#fd);
    renameSync(this.path, `${this.path}.1`);
    this.#fd = openSync(this.path, 'a', 0o600);
    this.#length = 0;
  }
}

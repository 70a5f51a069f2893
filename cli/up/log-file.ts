/**
 * What a program of the mesh prints, kept on disk within a bound.
 *
 * A file that has grown full becomes `NAME.1` and a new one begins, so the last megabytes are there
 * and a program that prints without end fills no memory file system.
 */
import { closeSync, openSync, readSync, renameSync, writeSync } from 'node:fs';

const LONGEST_BYTES = 8 << 20;
const LONGEST_LAST_LINE_BYTES = 4096;

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

  /** What was printed last, of what stands in this file; '' when there is nothing. */
  lastLine(): string {
    const bytes = Buffer.alloc(LONGEST_LAST_LINE_BYTES);
    const from = Math.max(0, this.#length - bytes.length);
    const fd = openSync(this.path, 'r');
    try {
      const text = bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, from));
      return text.trimEnd().split('\n').at(-1) ?? '';
    } finally {
      closeSync(fd);
    }
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

/**
 * The access log of an agent from a moment on: one object for each connection that ended.
 *
 * Read from the file that the agent's output goes to; a line that is half written waits for its rest.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

export type AccessLine = Readonly<Record<string, unknown>>;

const MOST_BYTES = 4 << 20;

export class AccessLines {
  readonly #path: string;
  #offset: number;
  #rest = '';

  /** Begins at the end of what is there now. */
  constructor(path: string) {
    this.#path = path;
    this.#offset = sizeOf(path);
  }

  /** Returns the lines that came since the last call. */
  read(): AccessLine[] {
    const text = this.#rest + this.#more();
    const end = text.lastIndexOf('\n');
    this.#rest = text.slice(end + 1);
    return text
      .slice(0, Math.max(0, end))
      .split('\n')
      .map(parseLine)
      .filter((line) => line !== undefined)
      .filter((line) => line['log'] === 'access');
  }

  #more(): string {
    const fd = openSync(this.#path, 'r');
    try {
      const { size } = fstatSync(fd);
      // The file was rotated: go on from the start of the new one.
      if (size < this.#offset) this.#offset = 0;
      const bytes = Buffer.alloc(Math.min(size - this.#offset, MOST_BYTES));
      const read = readSync(fd, bytes, 0, bytes.length, this.#offset);
      this.#offset += read;
      return bytes.toString('utf8', 0, read);
    } finally {
      closeSync(fd);
    }
  }
}

function sizeOf(path: string): number {
  const fd = openSync(path, 'r');
  try {
    return fstatSync(fd).size;
  } finally {
    closeSync(fd);
  }
}

function parseLine(line: string): AccessLine | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

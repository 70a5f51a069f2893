/**
 * A lock on a file that one process of the machine holds at a time, and that ends with the process.
 */
import { closeSync, openSync } from 'node:fs';
import { EAGAIN, errnoName } from './constants.ts';
import { MeshError } from '../errors.ts';
import { declare, orErrno } from './native.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

const flock = declare('flock', 'int', ['int', 'int']);

export class FileLock {
  readonly #path: string;
  #fd = -1;

  constructor(path: string) {
    this.#path = path;
  }

  /** Holds the lock from now on unless another process does; says whether this one does. */
  tryHold(): boolean {
    if (this.#fd >= 0) return true;
    const fd = openSync(this.#path, 'a', 0o600);
    const result = orErrno(flock(fd, LOCK_EX | LOCK_NB));
    if (result >= 0) {
      this.#fd = fd;
      return true;
    }
    closeSync(fd);
    if (result === -EAGAIN) return false;
    throw new MeshError('SYSTEM_CALL_FAILED', `Cannot lock "${this.#path}": ${errnoName(-result)}`);
  }

  release(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

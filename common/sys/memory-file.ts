/**
 * Files without a name that live in memory (memfd): for what is too long for one message of a socket
 * and must never reach a disk. Their descriptor goes where any descriptor goes.
 */
import { closeSync, fstatSync, readSync, writeSync } from 'node:fs';
import { declare, orErrno } from './native.ts';
import { hold, textSlab } from './slab.ts';

const libc = { memfd_create: declare('memfd_create', 'int', ['uintptr_t', 'uint']) };
const CLOEXEC = 1;

/** Makes a file of these pieces; a descriptor, or a negated error number. */
export function memoryFile(name: string, pieces: readonly Uint8Array[]): number {
  const text = textSlab(name);
  const fd = orErrno(libc.memfd_create(text.address, CLOEXEC));
  hold(text);
  if (fd < 0) return fd;
  try {
    for (const piece of pieces) {
      for (let at = 0; at < piece.length;) at += writeSync(fd, piece, at, piece.length - at);
    }
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return fd;
}

export function memoryFileLength(fd: number): number {
  return fstatSync(fd).size;
}

/** Reads all of it or a part, wherever others stand in it. */
export function readMemoryFile(fd: number, from = 0, length = memoryFileLength(fd) - from): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length);
  for (let at = 0; at < bytes.length;) {
    const n = readSync(fd, bytes, at, bytes.length - at, from + at);
    if (n === 0) throw new RangeError('Cannot read a memory file: it got shorter');
    at += n;
  }
  return bytes;
}

/**
 * Files without a name that live in memory (memfd): for what is too long for one message of a socket
 * and must never reach a disk. Their descriptor goes where any descriptor goes.
 */
import { closeSync, fstatSync, readSync, writeSync } from 'node:fs';
import { declare, orErrno } from './native.ts';
import { hold, textSlab } from './slab.ts';

const libc = { memfd_create: declare('memfd_create', 'int', ['uintptr_t', 'uint']) };
const CLOEXEC = 1;

/** Makes a file of these bytes; a descriptor, or a negated error number. */
export function memoryFile(name: string, bytes: Uint8Array): number {
  const text = textSlab(name);
  const fd = orErrno(libc.memfd_create(text.address, CLOEXEC));
  hold(text);
  if (fd < 0) return fd;
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, at);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return fd;
}

/** Reads all of it, wherever others stand in it. */
export function readMemoryFile(fd: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(fstatSync(fd).size);
  for (let at = 0; at < bytes.length;) {
    const n = readSync(fd, bytes, at, bytes.length - at, at);
    if (n === 0) throw new RangeError('Cannot read a memory file: it got shorter');
    at += n;
  }
  return bytes;
}

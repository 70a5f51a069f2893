/**
 * What malloc keeps of memory that was freed, given back to the kernel.
 *
 * Columns of a large view are freed by the ten megabytes; after the first of them glibc keeps such
 * pieces for itself, between others that are in use, for the next who wants as much.
 */
import { declare } from './native.ts';

const libc = { malloc_trim: declare('malloc_trim', 'int', ['size_t']) };

/** Returns whether anything was given back. It takes some milliseconds. */
export function trimHeap(): boolean {
  return libc.malloc_trim(0) === 1;
}

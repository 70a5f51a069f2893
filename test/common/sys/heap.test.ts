/** Memory that was freed goes back to the kernel when it is asked for. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { collectGarbage } from '#common/engine/collect.ts';
import { trimHeap } from '#common/sys/heap.ts';

const PIECES = 400;
const PIECE_BYTES = 100_000;

function residentBytes(): number {
  const pages = readFileSync('/proc/self/statm', 'latin1').split(' ')[1];
  return Number(pages) * 4096;
}

test('collectGarbage() gives freed memory back to the kernel', async (t) => {
  t.type(trimHeap(), 'boolean');
  // Smaller than what malloc takes from the kernel piece by piece; every tenth stays in between.
  let pieces = Array.from({ length: PIECES }, () => Buffer.alloc(PIECE_BYTES, 1));
  const full = residentBytes();
  pieces = pieces.filter((_, i) => i % 10 === 0);
  await delay(10);
  collectGarbage();
  await delay(50);
  collectGarbage();
  const freed = full - residentBytes();
  t.ok(freed > 0.6 * PIECES * PIECE_BYTES, `${freed} bytes came back`);
  t.equal(pieces.length, PIECES / 10);
});

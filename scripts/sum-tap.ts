/**
 * Adds up tap's result files and prints `N passed, N failed, N skipped`, the last line of a test run.
 *
 * A file that does not end in tap's count (a run that crashed) counts as one failed test.
 */
import { readFileSync } from 'node:fs';

export interface Counts {
  readonly pass: number;
  readonly fail: number;
  readonly skip: number;
}

/** Reads the count at the end of one tap output, such as `# { total: 5, pass: 3, fail: 1, skip: 1 }`. */
export function countsOf(output: string): Counts {
  const found = Array.from(output.matchAll(/^# \{ total: \d+[^}\n]*\}/gm)).at(-1)?.[0];
  if (found === undefined) return { pass: 0, fail: 1, skip: 0 };
  const count = (key: string): number =>
    Number(new RegExp(`\\b${key}: (\\d+)`).exec(found)?.[1] ?? 0);
  return { pass: count('pass'), fail: count('fail'), skip: count('skip') + count('todo') };
}

export function sum(all: readonly Counts[]): Counts {
  return all.reduce(
    (a, b) => ({ pass: a.pass + b.pass, fail: a.fail + b.fail, skip: a.skip + b.skip }),
    { pass: 0, fail: 0, skip: 0 },
  );
}

if (import.meta.main) {
  const total = sum(process.argv.slice(2).map((path) => countsOf(readFileSync(path, 'utf8'))));
  console.log(`${total.pass} passed, ${total.fail} failed, ${total.skip} skipped`);
  process.exitCode = total.fail > 0 ? 1 : 0;
}

import { test } from 'tap';
import { TapLines } from '../../scripts/tap-lines.ts';

const lines = (tap: string): string[] => {
  const reader = new TapLines();
  return tap.split('\n').flatMap((line) => reader.take(line));
};

test('a file that passes is one line, with its time', async (t) => {
  const tap = `TAP version 14
1..1
# Subtest: test/a.test.ts
    # Subtest: outer
        ok 1 - fine
        1..1
    ok 1 - outer # time=45.7ms
    1..1
ok 1 - test/a.test.ts # time=1567.4ms
# { total: 1, pass: 1 }`;
  t.strictSame(lines(tap), ['ok  test/a.test.ts  1.6 s']);
});

test('a failure is said once, with its path and diagnosis, and not for what contains it', async (t) => {
  const tap = `# Subtest: test/a.test.ts
    # Subtest: outer
        ok 1 - fine
        not ok 2 - one is two
          ---
          diff: |
            -2
            +1
          ...
        
        # Subtest: inner
            not ok 1 - boom
              ---
              stack: here
              ...
            
            1..1
        not ok 3 - inner # time=12.2ms
          ---
          at: there
          ...
        1..3
    not ok 1 - outer # time=45.7ms
      ---
      at: there
      ...
    # Subtest: later
        not ok 1 - late
          ---
          ...
    not ok 2 - later
    1..2
not ok 1 - test/a.test.ts # time=567.4ms
  ---
  exitCode: 1
  ...
# Subtest: test/b.test.ts
    not ok 1 - timeout!
      ---
      signal: SIGTERM
      ...
not ok 2 - test/b.test.ts # time=9ms
`;
  t.strictSame(lines(tap), [
    'not ok  test/a.test.ts > outer > one is two',
    '        diff: |',
    '        -2',
    '        +1',
    'not ok  test/a.test.ts > outer > inner > boom',
    '        stack: here',
    'not ok  test/a.test.ts > later > late',
    'FAILED  test/a.test.ts  0.6 s',
    'not ok  test/b.test.ts > timeout!',
    '        signal: SIGTERM',
    'FAILED  test/b.test.ts  0.0 s',
  ]);
});

test('a file that fails without a failed assertion is said with its diagnosis', async (t) => {
  const tap = `not ok 1 - test/c.test.ts # time=9ms
  ---
  exitCode: 139
  ...`;
  t.strictSame(lines(tap), ['FAILED  test/c.test.ts  0.0 s', '        exitCode: 139']);
});

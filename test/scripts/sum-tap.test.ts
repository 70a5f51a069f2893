import { test } from 'tap';
import { countsOf, sum } from '../../scripts/sum-tap.ts';

test('countsOf() reads the last count of a tap output, absent keys as 0', async (t) => {
  const output =
    'ok 1\n# { total: 2, pass: 2 }\nnot ok 2\n# { total: 9, pass: 6, fail: 2, skip: 1 }\n# time=3ms\n';
  t.strictSame(countsOf(output), { pass: 6, fail: 2, skip: 1 });
  t.strictSame(countsOf('# { total: 4, pass: 4 }\n'), { pass: 4, fail: 0, skip: 0 });
});

test('countsOf() takes a run without a count for a failed one', async (t) => {
  t.strictSame(countsOf('ok 1 - something\nSegmentation fault\n'), { pass: 0, fail: 1, skip: 0 });
});

test('sum() adds', async (t) => {
  t.strictSame(
    sum([
      { pass: 1, fail: 2, skip: 3 },
      { pass: 10, fail: 0, skip: 1 },
    ]),
    {
      pass: 11,
      fail: 2,
      skip: 4,
    },
  );
});

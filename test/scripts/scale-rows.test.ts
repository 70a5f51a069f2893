import { test } from 'tap';
import { readMetric, slope, table, verdict } from '../bench/scale/rows.ts';

const rows = [
  { n: 10, mb: 101 },
  { n: 1000, mb: 200 },
  { n: 10_000, mb: 1100 },
];

test('slope() finds what one more costs', async (t) => {
  t.ok(Math.abs(slope(rows, 'n', 'mb') - 0.1) < 1e-9);
  t.ok(Number.isNaN(slope(rows.slice(0, 1), 'n', 'mb')));
});

test('table() has a line for each size, and the slopes at the end', async (t) => {
  const columns = [
    { key: 'n', title: 'N', digits: 0 },
    { key: 'mb', title: 'MB', digits: 0 },
    { key: 'gone', title: 'gone', digits: 0 },
  ];
  t.equal(
    table(columns, rows, 1000),
    [
      '| N | MB | gone |',
      '| --- | --- | --- |',
      '| 10 | 101 |  |',
      '| 1000 | 200 |  |',
      '| 10000 | 1100 |  |',
      '| slope per 1,000 | 100.0 |  |',
    ].join('\n'),
  );
});

test('verdict() says whether a bar is met, and never that it is without a figure', async (t) => {
  const bar = { what: 'x', most: 50, unit: 'ms' };
  t.match(verdict({ ...bar, measured: 50 }), /: met$/);
  t.match(verdict({ ...bar, measured: 50.1 }), /not met/);
  t.match(verdict({ ...bar, measured: Number.NaN }), /not met/);
});

test('readMetric() finds a value with or without labels', async (t) => {
  const text = '# HELP a b\na 1\nbc{x="y"} 2\n';
  t.equal(readMetric(text, 'a'), 1);
  t.equal(readMetric(text, 'bc'), 2);
  t.ok(Number.isNaN(readMetric(text, 'b')));
});

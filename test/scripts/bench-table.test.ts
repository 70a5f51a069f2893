import { test } from 'tap';
import type { BenchCase } from '../bench/cases.ts';
import { markdown, median, summarize, type Result } from '../bench/table.ts';

const cases: readonly BenchCase[] = [
  {
    name: 'x',
    title: 'X',
    args: [],
    metrics: [
      { key: 'rate', title: 'rate', better: 'more', digits: 0 },
      { key: 'cpu', title: 'CPU', better: 'less', digits: 1 },
    ],
  },
];

const results: readonly Result[] = [
  { case: 'x', subject: 'direct', round: 0, figures: { rate: 1000, cpu: 0 } },
  ...[30, 10, 20].map((rate, round) => ({
    case: 'x',
    subject: 'plumbline',
    round,
    figures: { rate, cpu: 2 },
  })),
  { case: 'x', subject: 'haproxy', round: 0, figures: { rate: 10, cpu: 1 } },
  { case: 'x', subject: 'nginx', round: 0, figures: { rate: 8, cpu: 4 } },
  { case: 'x', subject: 'nginx', round: 1, error: 'died' },
];

test('median() takes the middle, or the mean of the two in the middle', async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 2, 3]), 2.5);
  t.ok(Number.isNaN(median([])));
});

test('summarize() compares us with the best peer of each column, never with the direct path', async (t) => {
  const ours = summarize(results, cases, 'plumbline').filter(
    ({ subject }) => subject === 'plumbline',
  );
  t.match(ours, [
    { metric: 'rate', median: 20, spread: [10, 30], peer: 'haproxy', ratio: 2 },
    { metric: 'cpu', median: 2, peer: 'haproxy', ratio: 2 },
  ]);
});

test('markdown() shows median, spread and ratio, and what failed', async (t) => {
  const some = results.filter(({ error, subject }) => error === undefined && subject !== 'nginx');
  const table = markdown(summarize(some, cases, 'plumbline'), cases);
  t.match(
    table,
    /\| plumbline \| 20 \(10-30\) \*\*2\.00 × haproxy\*\* \| 2\.0 \(2\.0-2\.0\) \*\*2\.00 × haproxy\*\* \|/,
  );
  const half = [{ case: 'x', subject: 'nginx', round: 0, figures: { rate: 1 } }];
  t.match(
    markdown(summarize(half, cases, 'plumbline'), cases),
    /\| nginx \| 1 \(1-1\) \| failed \|/,
  );
});

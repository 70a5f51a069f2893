/** Prometheus text, as the tour reads it. */
import { test } from 'tap';
import { parseMetrics, sumOf } from '../../../../cli/up/tour/metrics-text.ts';

const text = `# HELP a_total things
# TYPE a_total counter
a_total{who="x",why="a \\"b\\" \\\\ c"} 3
a_total{who="y",why="}"} 4.5 1700000000000
a_total 1e2
b NaN
not a sample
`;

test('parseMetrics() reads names, labels with escapes, and values', async (t) => {
  const samples = parseMetrics(text);
  t.strictSame(samples[0], { name: 'a_total', labels: { who: 'x', why: 'a "b" \\ c' }, value: 3 });
  t.strictSame(samples[1]?.labels, { who: 'y', why: '}' });
  t.equal(samples.length, 4);
});

test('sumOf() adds up samples whose labels are as wanted', async (t) => {
  const samples = parseMetrics(text);
  t.equal(sumOf(samples, 'a_total'), 107.5);
  t.equal(sumOf(samples, 'a_total', { who: 'y' }), 4.5);
  t.equal(sumOf(samples, 'nothing'), 0);
});

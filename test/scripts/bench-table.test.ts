import { test } from 'tap';
import { CASES, type BenchCase } from '../bench/cases.ts';
import { fill, peerOf } from '../bench/peer.ts';
import { jsonRows, markdown, median, summarize, type Result } from '../bench/table.ts';
import { isMet, spell, targetOf } from '../bench/targets.ts';

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

const sides = { ours: 'plumbline', peers: ['haproxy', 'nginx'] };

test('median() takes the middle, or the mean of the two in the middle', async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 2, 3]), 2.5);
  t.ok(Number.isNaN(median([])));
});

test('summarize() compares us with the best peer of each column, never with the direct path', async (t) => {
  const ours = summarize(results, cases, sides).filter(({ subject }) => subject === 'plumbline');
  t.match(ours, [
    { metric: 'rate', median: 20, spread: [10, 30], peer: 'haproxy', ratio: 2 },
    { metric: 'cpu', median: 2, peer: 'haproxy', ratio: 2 },
  ]);
});

test('markdown() shows median, spread and ratio, and what failed', async (t) => {
  const some = results.filter(({ error, subject }) => error === undefined && subject !== 'nginx');
  const table = markdown(summarize(some, cases, sides), cases);
  t.match(
    table,
    /\| plumbline \| 20 \(10-30\) \*\*2\.00 × haproxy\*\* \| 2\.0 \(2\.0-2\.0\) \*\*2\.00 × haproxy\*\* \|/,
  );
  const half = [{ case: 'x', subject: 'nginx', round: 0, figures: { rate: 1 } }];
  t.match(markdown(summarize(half, cases, sides), cases), /\| nginx \| 1 \(1-1\) \| failed \|/);
});

test('summarize() judges by the three peers alone, whoever else stands beside them', async (t) => {
  const beside: Result = {
    case: 'x',
    subject: 'faster',
    round: 0,
    figures: { rate: 99, cpu: 0.1 },
  };
  const ours = summarize([...results, beside], cases, sides).find(
    ({ subject, metric }) => subject === 'plumbline' && metric === 'rate',
  );
  t.match(ours, { peer: 'haproxy', ratio: 2 });
});

const stream: readonly BenchCase[] = [
  {
    name: 'up1',
    title: 'Up',
    args: [],
    metrics: [
      { key: 'gbit', title: 'Gbit/s', better: 'more', digits: 1 },
      { key: 'cpu_per_gb', title: 'CPU', better: 'less', digits: 1 },
    ],
  },
];

test('summarize() says of each column with a target whether it is met', async (t) => {
  const both = [
    { case: 'up1', subject: 'plumbline', round: 0, figures: { gbit: 12, cpu_per_gb: 0.9 } },
    { case: 'up1', subject: 'nginx', round: 0, figures: { gbit: 10, cpu_per_gb: 1 } },
  ];
  const rows = summarize(both, stream, sides);
  t.same(jsonRows(rows), [
    {
      case: 'up1.gbit',
      subject: 'plumbline',
      peer: 'nginx',
      median: 12,
      spread: [12, 12],
      ratio: 1.2,
      target: '>= 1.1 x best peer',
      met: true,
    },
    {
      case: 'up1.gbit',
      subject: 'nginx',
      peer: null,
      median: 10,
      spread: [10, 10],
      ratio: null,
      target: null,
      met: null,
    },
    {
      case: 'up1.cpu_per_gb',
      subject: 'plumbline',
      peer: 'nginx',
      median: 0.9,
      spread: [0.9, 0.9],
      ratio: 0.9,
      target: '<= 0.8 x best peer',
      met: false,
    },
    {
      case: 'up1.cpu_per_gb',
      subject: 'nginx',
      peer: null,
      median: 1,
      spread: [1, 1],
      ratio: null,
      target: null,
      met: null,
    },
  ]);
  const table = markdown(rows, stream);
  t.match(table, '>= 1.1 x best peer: met |');
  t.match(table, '<= 0.8 x best peer: **not met** |');
  const alone = markdown(summarize(both.slice(0, 1), stream, sides), stream);
  t.match(alone, '>= 1.1 x best peer: not judged |');
});

test('isMet() takes the ratio or our own figure, as the target says', async (t) => {
  const rss = targetOf('rss-idle', 'largest_rss_mb');
  const rate = targetOf('crr8', 'rate');
  if (rss === undefined || rate === undefined) throw new Error('a target is gone');
  t.equal(isMet(rss, 120, undefined), true);
  t.equal(isMet(rss, 121, 0.1), false);
  t.equal(isMet(rate, 1, 2), true);
  t.equal(isMet(rate, 1e6, 1.99), false);
  t.equal(isMet(rate, 1e6, undefined), undefined);
  t.equal(spell(rss), '<= 120');
  t.equal(targetOf('rr1', 'p99'), undefined);
});

test('every target is of a case and a metric that are measured', async (t) => {
  const judged = CASES.flatMap(({ name, metrics }) =>
    metrics
      .filter(({ key }) => targetOf(name, key) !== undefined)
      .map(({ key }) => `${name}.${key}`),
  );
  t.same(judged.toSorted(), [
    'crr8.cpu_ms_per_1k',
    'crr8.rate',
    'down1.cpu_per_gb',
    'down1.gbit',
    'down8.cpu_per_gb',
    'down8.gbit',
    'idle1000.kb_per_connection',
    'idle5000.kb_per_connection',
    'rr1k-one-cpu.p50',
    'rr1k-one-cpu.p99',
    'rr32k.cpu_ms_per_1k',
    'rr32k.rate',
    'rss-idle.largest_rss_mb',
    'up1.cpu_per_gb',
    'up1.gbit',
    'up8.cpu_per_gb',
    'up8.gbit',
  ]);
});

const nginx = {
  name: 'nginx',
  program: 'nginx',
  out: { command: ['@PROGRAM@', '-c', '@CONFIG@'], config: 'nginx.out.conf' },
  in: { command: ['@PROGRAM@'] },
};

test('peerOf() reads a description and refuses what it does not know', async (t) => {
  t.match(peerOf(nginx, 'x.json'), { name: 'nginx', in: { command: ['@PROGRAM@'] } });
  const wrong: readonly [unknown, RegExp][] = [
    [undefined, /not an object/],
    [{ ...nginx, name: 'a b' }, /name "a b"/],
    [{ ...nginx, port: 1 }, /unknown field "port"/],
    [{ ...nginx, out: { command: [] } }, /out: command is not a list/],
    [{ ...nginx, in: { command: [1] } }, /in: command: not a word/],
    [{ ...nginx, program: '' }, /program: not a word/],
  ];
  for (const [raw, message] of wrong) t.throws(() => peerOf(raw, 'x.json'), { message });
});

test('fill() puts values in the place of placeholders and refuses others', async (t) => {
  t.equal(fill('listen @LISTEN@; "@type": x; a@b', { LISTEN: '1' }), 'listen 1; "@type": x; a@b');
  t.throws(() => fill('@LISTN@', { LISTEN: '1' }), { message: /@LISTN@ is no placeholder/ });
});

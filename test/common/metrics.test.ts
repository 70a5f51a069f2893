import { test } from 'tap';
import { Metrics, type Sample } from '../../common/metrics.ts';

test('a counter reports what its owner says at each scrape, and forgets the rest', async (t) => {
  const metrics = new Metrics();
  let samples: Sample[] = [
    { labels: { pod: 'a' }, value: 3 },
    { labels: { pod: 'b' }, value: 1 },
  ];
  metrics.counter({ name: 'x_total', help: 'x', labels: ['pod'], read: () => samples });
  t.match(await metrics.text(), /x_total\{pod="a"\} 3\nx_total\{pod="b"\} 1/);
  samples = [{ labels: { pod: 'a' }, value: 5 }];
  const second = await metrics.text();
  t.match(second, /x_total\{pod="a"\} 5/);
  t.notMatch(second, /pod="b"/);
});

test('a gauge may fall, a histogram counts into its buckets', async (t) => {
  const metrics = new Metrics();
  let open = 7;
  metrics.gauge({ name: 'open', help: 'open', read: () => [{ value: open }] });
  const observe = metrics.histogram({ name: 'took_seconds', help: 'took', buckets: [0.1, 1] });
  observe(0.5);
  t.match(await metrics.text(), /^open 7$/m);
  open = 2;
  const text = await metrics.text();
  t.match(text, /^open 2$/m);
  t.match(text, /took_seconds_bucket\{le="0.1"\} 0\ntook_seconds_bucket\{le="1"\} 1/);
});

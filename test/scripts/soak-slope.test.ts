import { test } from 'tap';
import { isBack, judge, quantile, slopePerHour, type Sample } from '../soak/slope.ts';

const at = (seconds: number, more: Partial<Sample> = {}): Sample => ({
  seconds,
  rssMb: 100,
  heapMb: 20,
  descriptors: 50,
  handles: 10,
  timers: 5,
  loopDelayMs: 2,
  ...more,
});

/** An hour, one sample a minute, and what memory is at each. */
const hour = (rssMb: (minute: number) => number): Sample[] =>
  Array.from({ length: 61 }, (_, minute) => at(60 * minute, { rssMb: rssMb(minute) }));

test('slopePerHour() finds the slope of a line, and that of a noisy one', async (t) => {
  t.equal(slopePerHour([0, 1, 2].map((n) => ({ seconds: 1800 * n, value: 7 + 3 * n }))), 6);
  const noisy = hour((minute) => 100 + minute / 60 + (minute % 2 === 0 ? 3 : -3));
  const slope = slopePerHour(noisy.map(({ seconds, rssMb }) => ({ seconds, value: rssMb })));
  t.ok(Math.abs(slope - 1) < 0.2, `${slope}`);
  t.ok(Number.isNaN(slopePerHour([{ seconds: 1, value: 1 }])));
});

test('quantile() takes what a share of the values does not exceed', async (t) => {
  t.equal(quantile([3, 1, 2, 4], 0.5), 3);
  t.equal(quantile([1], 0.99), 1);
  t.ok(Number.isNaN(quantile([], 0.5)));
});

test('judge() lets a flat hour hold, and finds a leak after warm-up', async (t) => {
  const flat = hour((minute) => (minute < 10 ? 80 + 2 * minute : 100 + (minute % 3)));
  const [start, end] = [at(0), at(3600)];
  t.same(judge('agent', { start, during: flat, end }, 600).failures, []);
  t.match(judge('agent', { start, during: flat, end }, 0).failures, [/RSS rises/], 'not warm yet');
  const leak = hour((minute) => 100 + minute / 30);
  t.match(judge('agent', { start, during: leak, end }, 600).failures, [/RSS rises by 2.00 MB/]);
});

test('judge() says when a run is too short for a slope, but not that anything goes', async (t) => {
  const short = hour((minute) => 100 + minute / 4).slice(0, 11);
  const found = judge('agent', { start: at(0), during: short, end: at(600) }, 60);
  t.same(found.failures, []);
  t.match(found.notes, [/too short/]);
  const steep = hour((minute) => 100 + 10 * minute).slice(0, 11);
  t.match(judge('agent', { start: at(0), during: steep, end: at(600) }, 60).failures, [/RSS grew/]);
});

test('judge() wants back what was open, and a loop that is on time', async (t) => {
  const during = hour(() => 100);
  const start = at(0);
  const left = at(3600, { descriptors: 80, timers: 14 });
  t.match(judge('agent', { start, during, end: left }, 60).failures, [
    'descriptors went from 50 to 80',
    'timers went from 5 to 14',
  ]);
  t.notOk(isBack(start, left));
  t.ok(isBack(start, at(3600, { descriptors: 52 })));
  const late = during.map((one) => ({ ...one, loopDelayMs: 25 }));
  t.match(judge('agent', { start, during: late, end: at(3600) }, 60).failures, [/is late by 25/]);
  t.match(judge('agent', { start, during: [], end: at(3600) }, 60).failures, ['too few samples']);
});

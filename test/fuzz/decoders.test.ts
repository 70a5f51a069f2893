/** The everyday form of `npm run fuzz`: the whole corpus of every decoder, and some thousand cases each. */
import { test } from 'tap';
import type { Decoder } from './decoder.ts';
import { DECODERS } from './decoders/index.ts';
import { costOf, readCorpus, runDecoder } from './runner.ts';

/** Reading YAML takes a hundred times as long as all else. */
const CASES: Readonly<Record<string, number>> = { 'yaml-objects': 500, 'http2-frames': 10_000 };
const SLACK = 20;

for (const decoder of DECODERS) {
  test(`${decoder.name} survives its corpus and fresh cases`, async (t) => {
    const cases = CASES[decoder.name] ?? 4000;
    const report = runDecoder(decoder, { cases, seed: 1, corpus: readCorpus(decoder.name) });
    t.strictSame(
      report.failures.map(({ what }) => what),
      [],
    );
    t.ok(report.read > 0 && report.medianUs > 0, `${report.read} of ${cases} were read`);
  });

  test(`${decoder.name} takes its dearest inputs in bounded time`, async (t) => {
    // The bar is `budgetMs` on an idle machine; the bound here only tells linear from quadratic.
    for (const [name, input] of Object.entries(decoder.costly ?? {})) {
      const ms = costOf(decoder, input, 5);
      const bar = SLACK * (decoder.budgetMs ?? 1) * Math.max(1, input.length / 65_536);
      t.ok(ms < bar, `${name}: ${ms.toFixed(2)} ms`);
    }
  });
}

test('runDecoder() reports what fails: a wrong error, a slow input, a refused seed', async (t) => {
  const bad: Decoder = {
    name: 'bad',
    seeds: [Buffer.from('seed')],
    mutate: (random) => Buffer.from([random(3)]),
    run(input) {
      if (input[0] === 0) throw new TypeError('not an error of ours');
      const end = performance.now() + (input[0] === 1 ? 3 : 0);
      while (performance.now() < end);
      return input[0] === 0x73 ? 'refused' : 'read';
    },
  };
  const { failures, cases } = runDecoder(bad, { cases: 50, seed: 1, corpus: [] });
  t.ok(cases > 9 && cases <= 50, 'it stops after so many');
  for (const what of ['a seed was refused', 'TypeError: not an error', 'slow: 3']) {
    t.ok(
      failures.some((failure) => failure.what.startsWith(what)),
      what,
    );
  }
});

test('runDecoder() makes the same cases from the same seed', async (t) => {
  const [decoder] = DECODERS;
  if (decoder === undefined) throw new TypeError();
  const [a, b, other] = [5, 5, 6].map((seed) =>
    runDecoder(decoder, { cases: 200, seed, corpus: [] }),
  );
  t.equal(a?.bytes, b?.bytes);
  t.not(a?.bytes, other?.bytes);
});

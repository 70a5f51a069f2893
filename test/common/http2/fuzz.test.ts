/** The everyday short form of `test/fuzz/http2-codec.ts`. */
import { test } from 'tap';
import { COSTLY, costOf, fuzz } from '../../fuzz/http2-codec.ts';

test('sessions and HPACK survive 20,000 cases of bad and of good input', async (t) => {
  const { died } = fuzz(20_000, 1);
  t.ok(died > 5000, `${died} cases ended in a fault`);
  t.ok(died < 18_000, 'and many did not');
});

test('64 KB of the costliest input takes no more than some milliseconds', async (t) => {
  // The bar is 1 ms on an idle machine; the bound here only tells linear from quadratic.
  for (const [name, input] of Object.entries(COSTLY)) {
    const ms = costOf(input);
    t.ok(ms < 20, `${name}: ${ms.toFixed(2)} ms`);
  }
});

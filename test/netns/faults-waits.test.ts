/** Faults that are noticed by half a minute of silence, in their short form and side by side. */
import { test } from 'tap';
import { scenario as controlHalfOpen } from '../faults/control-half-open.ts';
import { scenario as peerFrozen } from '../faults/peer-frozen.ts';
import { needsRoot as skip } from '../helpers/netns.ts';

test('faults that are noticed by silence', { skip }, async (t) => {
  // Both end before one is judged, so that each takes back what it made.
  const results = await Promise.all(
    [controlHalfOpen, peerFrozen].map(async (scenario) => ({
      ...(await scenario
        .run({ quick: true })
        .catch((error: unknown) => ({ figures: {}, passed: false, why: String(error) }))),
      scenario,
    })),
  );
  for (const { scenario, figures, passed, why } of results) {
    t.comment(JSON.stringify(figures));
    t.ok(passed, `${scenario.title}${why === undefined ? '' : `: ${why}`}`);
  }
});

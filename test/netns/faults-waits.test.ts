/** Fault scenarios that wait for half a minute of silence, in their short form and side by side. */
import { test } from 'tap';
import { scenario as certificateExpiry } from '../faults/certificate-expiry.ts';
import { scenario as controlHalfOpen } from '../faults/control-half-open.ts';
import { scenario as peerFrozen } from '../faults/peer-frozen.ts';
import { scenario as peerVanished } from '../faults/peer-vanished.ts';
import { needsRoot as skip } from '../helpers/netns.ts';

test('faults that are noticed by silence or by the clock', { skip }, async (t) => {
  const all = [certificateExpiry, controlHalfOpen, peerFrozen, peerVanished];
  // All end before one is judged, so that each takes back what it made.
  const results = await Promise.all(
    all.map(async (scenario) => ({
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

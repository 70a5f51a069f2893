import { test } from 'tap';
import { Convergence } from '../../../controller/status/convergence.ts';

test('Convergence measures each agent, and all of them together', async (t) => {
  const pushed: number[] = [];
  const converged: number[] = [];
  const measured = new Convergence({
    pushed: (seconds) => pushed.push(seconds),
    converged: (seconds) => converged.push(seconds),
  });
  measured.made(1, 0);
  measured.made(2, 1000);
  measured.applied(2, 1500);
  measured.everywhere(0, 1500);
  t.strictSame([pushed, converged, measured.open], [[0.5], [], 2]);
  measured.applied(2, 2000);
  measured.everywhere(2, 2000);
  t.strictSame([pushed, converged, measured.open], [[0.5, 1], [2, 1], 0]);
  measured.everywhere(2, 3000);
  t.equal(converged.length, 2, 'once for each version');
  measured.made(3, 5000);
  measured.everywhere(3, 5000 + 11 * 60_000);
  t.equal(converged.length, 2, 'somebody was away: that says nothing of us');
});

/** A scenario in its short form as a test of the everyday suite: its marks are what is asserted. */
import { test } from 'tap';
import { needsRoot as skip } from '../helpers/netns.ts';
import type { Scenario } from './scenario.ts';

export function shortForm(scenario: Scenario): void {
  test(scenario.title, { skip }, async (t) => {
    const { figures, passed, why } = await scenario.run({ quick: true });
    t.comment(JSON.stringify(figures));
    t.ok(passed, why ?? scenario.name);
  });
}

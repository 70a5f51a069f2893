/**
 * The long run in short: load, churn, rotation, replacement and faults mixed (R26). Everyday half a
 * minute; PLUMBLINE_SOAK_MINUTES sets more (10 in a full run), `npm run soak` has it by the hour.
 */
import { test } from 'tap';
import { needsRoot as skip } from '../helpers/netns.ts';
import { soak, story } from '../soak/run.ts';
import { table } from '../soak/slope.ts';

const MINUTES = Number(process.env['PLUMBLINE_SOAK_MINUTES'] ?? 0.5);
/** Start, a step that is under way, and tunnels of vanished pods. */
const MORE_MS = 300_000;

test(
  `${MINUTES} minutes of everything at once leave nothing behind and break nothing unasked`,
  { skip, timeout: MINUTES * 60_000 + MORE_MS },
  async (t) => {
    const report = await soak({
      minutes: MINUTES,
      tell: (line) => t.comment(line),
      after: (undo) => t.after(undo),
    });
    for (const line of `${table(report.findings)}\n${story(report)}`.split('\n')) t.comment(line);
    t.ok(report.ledger.made > 100, `${report.ledger.made} new connections`);
    t.ok(report.ledger.bytes > 1e6, `${report.ledger.bytes} bytes compared`);
    t.same(report.failures, []);
  },
);

import { test } from 'tap';
import { type ProofResult, summarize } from '../../../node-agent/capture/proof.ts';

const result = (
  outcome: ProofResult['outcome'],
  direction: ProofResult['direction'] = 'outbound',
): ProofResult => ({
  podUid: 'p',
  family: 4,
  at: 1,
  direction,
  outcome,
  reason: outcome === 'captured' ? '' : 'why',
});

const cases: readonly [string, readonly ProofResult[], boolean, string][] = [
  ['all captured', [result('captured'), result('captured', 'inbound')], true, ''],
  ['one family missing', [result('captured'), result('not-applicable')], true, ''],
  [
    'one direction not',
    [result('captured'), result('not-captured', 'inbound')],
    false,
    'inbound IPv4: why',
  ],
  ['nothing to probe', [result('not-applicable')], false, 'nothing could be probed'],
  ['no result', [], false, 'nothing could be probed'],
];

for (const [what, results, captured, reason] of cases) {
  test(`summarize() says ${captured ? 'captured' : 'not captured'} for ${what}`, async (t) => {
    t.strictSame(summarize(results), { captured, reason });
  });
}

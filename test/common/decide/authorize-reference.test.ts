/** `authorize` against a naive reference, on random policies, connections and changes. */
import { test } from 'tap';
import { authorize } from '#common/decide/authorize.ts';
import type { Verdict } from '#common/decide/authorize.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import type { Policy } from '#common/mesh/policy.ts';
import { View } from '#common/mesh/view.ts';
import { authorizeReference } from '../../helpers/mesh-authorize-reference.ts';
import type { ReferenceVerdict } from '../../helpers/mesh-authorize-reference.ts';
import { delta, snapshot, workload } from '../../helpers/mesh-build.ts';
import { oneOf, randomConnection, randomFrom, randomPolicy } from '../../helpers/mesh-random.ts';

/** Say CASES=1000000 for the long run. */
const CASES = Number(process.env['CASES'] ?? 100_000);
const CHANGES = 10;
const CONNECTIONS = 20;

test('authorize() agrees with the reference, whatever changes', async (t) => {
  const seed = Number(process.env['SEED'] ?? 1);
  const random = randomFrom(seed);
  const seen = { cases: 0, denied: 0, byRule: 0, audited: 0, unknown: 0 };
  while (seen.cases < CASES) {
    const view = new View();
    view.apply(packUpdate(snapshot()));
    const policies = new Map<string, Policy>();
    for (let change = 0; change < CHANGES; change += 1) {
      const [added, removed] = [new Map<string, Policy>(), new Set<string>()];
      for (let i = 0; i < 3; i += 1) {
        const policy = randomPolicy(random, `p${Math.floor(random() * 10)}`);
        added.set(policy.key, policy);
      }
      for (const key of policies.keys()) if (random() < 0.3) removed.add(key);
      for (const key of removed) policies.delete(key);
      for (const [key, policy] of added) policies.set(key, policy);
      const listed = Array.from(policies.values())
        .filter(({ scope }) => scope === 'selector' && random() < 0.8)
        .map(({ key }) => key);
      if (random() < 0.05) listed.push('authorization/shop/unheard-of');
      const pod = workload('pod', {
        namespace: oneOf(random, ['shop', 'a', 'b']),
        policies: listed,
      });
      view.apply(
        packUpdate(
          delta(
            {
              workloads: [pod],
              policies: Array.from(added.values()),
              removed: { policies: Array.from(removed) },
            },
            change + 2,
          ),
        ),
      );
      const subject = view.workload(pod.uid) ?? pod;
      for (let i = 0; i < CONNECTIONS; i += 1) {
        const connection = randomConnection(random);
        const verdict = authorize(view, subject, connection);
        const wanted = authorizeReference(Array.from(policies.values()), pod, connection);
        seen.cases += 1;
        if (!same(verdict, wanted, policies)) {
          t.strictSame(verdict, wanted, `case ${seen.cases} of seed ${seed}`, {
            policies: Array.from(policies.values()),
            connection,
          });
          return;
        }
        if (!wanted.allow) seen.denied += 1;
        if (wanted.by !== '') seen.byRule += 1;
        if (wanted.audits.length > 0) seen.audited += 1;
        if (listed.includes('authorization/shop/unheard-of')) seen.unknown += 1;
      }
    }
  }
  t.comment(JSON.stringify(seen));
  // Or the cases would be all alike and show nothing.
  t.ok(seen.denied > seen.cases / 10 && seen.denied < (seen.cases * 9) / 10);
  t.ok(seen.byRule > seen.cases / 10);
  t.ok(seen.audited > seen.cases / 10);
  t.ok(seen.unknown > seen.cases / 100);
});

function same(
  verdict: Verdict,
  wanted: ReferenceVerdict,
  policies: ReadonlyMap<string, Policy>,
): boolean {
  const audits = verdict.audits.map(({ policy, rule, wouldDeny }) =>
    rule === '' ? `(none) ${wouldDeny}` : `${policy} ${rule} ${wouldDeny}`,
  );
  const by = verdict.rule === '' ? '' : `${verdict.policy} ${verdict.rule}`;
  // A refusal always names a policy that is there, or that is missing.
  const named =
    verdict.allow || verdict.reason.includes('not known') || policies.has(verdict.policy);
  return (
    named &&
    verdict.allow === wanted.allow &&
    by === wanted.by &&
    audits.toSorted().join('\n') === wanted.audits.join('\n')
  );
}

/** A search meets few rules however many there are, and never misses one. */
import { test } from 'tap';
import { factsOf } from '#common/decide/facts.ts';
import { compilePolicy, ruleMatches } from '#common/decide/policy-match.ts';
import type { CompiledRule } from '#common/decide/policy-match.ts';
import { RuleIndex } from '#common/decide/rule-index.ts';
import { identityOf } from '#common/identity.ts';
import type { Match } from '#common/mesh/policy.ts';
import { policy, ruleOf } from '../../helpers/mesh-build.ts';
import { randomConnection, randomFrom, randomPolicy } from '../../helpers/mesh-random.ts';

const connection = {
  identity: identityOf('cluster.local', 'team-7', 'web'),
  sourceAddress: '10.0.0.7',
  destinationAddress: '10.64.0.1',
  destinationPort: 8080,
};

function met(rules: readonly CompiledRule[], facts = factsOf(connection)): Set<CompiledRule> {
  const index = new RuleIndex();
  for (const rule of rules) index.add(rule);
  const shown = new Set<CompiledRule>();
  index.search(facts, (rule) => shown.add(rule));
  return shown;
}

function rulesOf(...matches: readonly Match[][]): CompiledRule[] {
  return matches.flatMap((all, i) => compilePolicy(policy(`p${i}`, ruleOf(...all))).rules);
}

const kinds: Readonly<Record<string, (i: number) => Match>> = {
  'exact principals': (i) => ({ principals: [`cluster.local/ns/team-${i}/sa/web`] }),
  'prefixes of principals': (i) => ({ principals: [`cluster.local/ns/team-${i}/*`] }),
  'suffixes of principals': (i) => ({ principals: [`*/ns/team-${i}/sa/web`] }),
  'service accounts': (i) => ({ serviceAccounts: [`team-${i}/web`] }),
  namespaces: (i) => ({ namespaces: [`team-${i}`] }),
  'suffixes of namespaces': (i) => ({ namespaces: [`*eam-${i}`] }),
  addresses: (i) => ({ sourceIps: [`10.0.${i >> 8}.${i & 255}`] }),
  blocks: (i) => ({ sourceIps: [`10.0.${i >> 8}.${i & 255}/32`, `fd00:${i.toString(16)}::/32`] }),
  ports: (i) => ({ destinationPorts: [{ from: 8073 + i, to: 8073 + i }] }),
};

for (const [kind, match] of Object.entries(kinds)) {
  test(`search() meets one rule of 10,000 that ask for different ${kind}`, async (t) => {
    const rules = rulesOf(...Array.from({ length: 10_000 }, (_, i) => [match(i)]));
    const shown = met(rules);
    t.equal(shown.size, 1);
    for (const rule of shown) t.ok(ruleMatches(rule, factsOf(connection)));
  });
}

test('a rule is filed by the clause that tells most', async (t) => {
  const port = { destinationPorts: [{ from: 8080, to: 8080 }] };
  const rules = rulesOf(
    ...Array.from({ length: 100 }, (_, i) => [port, { serviceAccounts: [`team-${i}/web`] }]),
  );
  t.equal(met(rules).size, 1);
});

test('a rule that cannot be filed is met by everybody', async (t) => {
  const rules = rulesOf(
    [],
    [{ notPrincipals: ['*'] }],
    [{ principals: ['*'] }],
    [{ destinationPorts: [{ from: 1, to: 65_535 }] }],
    [{ destinationIps: ['192.0.2.1'] }],
  );
  t.equal(met(rules).size, rules.length);
});

test('search() never misses a rule that matches, while rules come and go', async (t) => {
  const random = randomFrom(3);
  const index = new RuleIndex();
  let present: CompiledRule[] = [];
  let matched = 0;
  for (let round = 0; round < 1000; round += 1) {
    const [leaving, staying] = [present.slice(0, 6), present.slice(6)];
    for (const rule of leaving) index.remove(rule);
    const coming = compilePolicy(randomPolicy(random, `p${round}`)).rules;
    for (const rule of coming) index.add(rule);
    present = present.length > 60 ? [...staying, ...coming] : [...present, ...coming];
    if (present.length > staying.length + coming.length)
      for (const rule of leaving) index.add(rule);
    const facts = factsOf(randomConnection(random));
    const shown = new Set<CompiledRule>();
    index.search(facts, (rule) => shown.add(rule));
    for (const rule of present) {
      if (!ruleMatches(rule, facts)) continue;
      matched += 1;
      if (!shown.has(rule)) t.fail(`${rule.policy.key} ${rule.name} was not shown`);
    }
    for (const rule of shown) if (!present.includes(rule)) t.fail('a rule that has left was shown');
  }
  t.ok(matched > 1000, `${matched} matches`);
});

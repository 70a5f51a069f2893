import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { planCapture } from '../../../node-agent/capture/rules.ts';
import { EVERYTHING, GOLDEN, PLAIN, spellPlan } from '../../helpers/capture-golden.ts';

const specs = (options: typeof PLAIN, table: string, from: string): readonly string[] =>
  planCapture(4, options)
    .filter((plan) => plan.table === table)
    .flatMap(({ chains }) => chains.filter((chain) => chain.from === from))
    .flatMap(({ rules }) => rules.map(({ spec }) => spec));

for (const { file, family, options } of GOLDEN) {
  test(`planCapture() plans what ${file} says`, async (t) => {
    const golden = readFileSync(new URL(`../../fixtures/capture/${file}`, import.meta.url), 'utf8');
    t.equal(spellPlan(planCapture(family, options)), golden);
  });
}

test('planCapture() has every rule that redirects or refuses spare the agent or its ports', async (t) => {
  for (const family of [4, 6] as const) {
    const rules = planCapture(family, EVERYTHING).flatMap(({ chains }) =>
      chains.flatMap((chain) => chain.rules.map(({ spec }) => ({ chain: chain.from, spec }))),
    );
    const acting = rules.filter(({ spec }) => /-j (REDIRECT|REJECT)/.test(spec));
    t.ok(acting.length >= 5);
    for (const { chain, spec } of acting) {
      t.match(spec, chain === 'INPUT' ? '! --dports 15006,15008' : '-m mark ! --mark 0x4d1/0xfff');
    }
  }
});

test('planCapture() leaves out of the fence what it leaves out of nat', async (t) => {
  const returns = (list: readonly string[]): readonly string[] =>
    list.filter((spec) => spec.endsWith('-j RETURN') && !spec.includes('udp'));
  t.strictSame(
    returns(specs(EVERYTHING, 'nat', 'OUTPUT')),
    returns(specs(EVERYTHING, 'filter', 'OUTPUT')),
  );
  t.strictSame(
    returns(specs(EVERYTHING, 'nat', 'PREROUTING')),
    returns(specs(EVERYTHING, 'filter', 'INPUT')),
  );
  t.equal(returns(specs(EVERYTHING, 'nat', 'OUTPUT')).length, 4);
});

test('planCapture() takes exclusions before anything is redirected', async (t) => {
  const rules = specs(EVERYTHING, 'nat', 'OUTPUT');
  const lastReturn = rules.findLastIndex((spec) => spec.endsWith('-j RETURN'));
  const firstRedirect = rules.findIndex((spec) => spec.includes('-j REDIRECT'));
  t.ok(lastReturn >= 0 && lastReturn < firstRedirect);
});

test('planCapture() spells an excluded CIDR of all addresses as the kernel does', async (t) => {
  const options = { ...PLAIN, excludeOutboundCidrs: ['0.0.0.0/0'] };
  t.ok(
    specs(options, 'nat', 'OUTPUT').includes('-m comment --comment "excluded addresses" -j RETURN'),
  );
});

const MANY = Array.from({ length: 65 }, (_, i) => i + 1);
const nonsense: readonly [string, Partial<typeof PLAIN>][] = [
  ['port 0', { excludeInboundPorts: [0] }],
  ['port 65536', { excludeOutboundPorts: [65_536] }],
  ['a fraction of a port', { excludeOutboundPorts: [1.5] }],
  ['a port twice', { excludeOutboundPorts: [80, 80] }],
  ['65 ports', { excludeInboundPorts: MANY }],
  ['65 CIDRs', { excludeOutboundCidrs: MANY.map((n) => `10.0.0.${n}`) }],
  ['a CIDR with too many bits', { excludeOutboundCidrs: ['10.0.0.0/33'] }],
  ['text', { excludeOutboundCidrs: ['10.0.0.0/8 -j ACCEPT'] }],
  ['a rule in place of an IPv6 CIDR', { excludeOutboundCidrs: ['::1\n-A'] }],
  ['an IPv4 address in IPv6', { excludeOutboundCidrs: ['::ffff:10.0.0.1/128'] }],
];

for (const [what, options] of nonsense) {
  test(`planCapture() refuses ${what}`, async (t) => {
    const plan = (): unknown =>
      [4, 6].map((f) => planCapture(f === 4 ? 4 : 6, { ...PLAIN, ...options }));
    t.throws(plan, { code: 'CONFIG_INVALID' });
  });
}

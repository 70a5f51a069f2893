import { test } from 'tap';
import { hostTableIsRight, parseSet, planHost } from '../../../node-agent/capture/host-plan.ts';
import { parseSave } from '../../../node-agent/capture/parse.ts';
import { spellPlan } from '../../helpers/capture-golden.ts';

const plan = planHost(4);
const right = spellPlan(plan);
const isRight = (text: string): boolean =>
  plan.every(({ table, chains }) => hostTableIsRight(chains, parseSave(text), table));

test('planHost() spares the agent, whose own probes must be captured', async (t) => {
  for (const family of [4, 6] as const) {
    t.match(spellPlan(planHost(family)), /! --mark 0x4d1\/0xfff .* -j SNAT/);
  }
});

test('hostTableIsRight() lets others have the first place', async (t) => {
  t.ok(isRight(right));
  t.ok(isRight(right.replace('*nat\n', '*nat\n-A POSTROUTING -j cali-POSTROUTING\n')));
});

test('hostTableIsRight() notices what is missing, doubled or changed', async (t) => {
  for (const text of [
    '',
    right.replace('-A POSTROUTING -j PLUMB_POSTROUTING\n', ''),
    right.replace('-A POSTROUTING -j PLUMB_POSTROUTING\n', '$&$&'),
    right.replace('169.254.7.128\n', '169.254.7.129\n'),
    right.replace(/-A PLUMB_PREROUTING .*\n/, ''),
  ]) {
    t.not(text, right);
    t.notOk(isRight(text));
  }
});

test('parseSet() reads members with their pods', async (t) => {
  const text = `create s hash:ip family inet comment
add s 10.0.0.1 comment "uid-1"
add s 10.0.0.2
add other 10.0.0.3 comment "uid-3"
`;
  t.strictSame(parseSet(text, 's'), [
    { address: '10.0.0.1', podUid: 'uid-1' },
    { address: '10.0.0.2', podUid: '' },
  ]);
});

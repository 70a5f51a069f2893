import { test } from 'tap';
import {
  compare,
  isCaptured,
  renderRemoval,
  renderTable,
  udpPackets,
} from '../../../node-agent/capture/compare.ts';
import { parseSave } from '../../../node-agent/capture/parse.ts';
import { planCapture } from '../../../node-agent/capture/rules.ts';
import { EVERYTHING, PLAIN, spellPlan } from '../../helpers/capture-golden.ts';

const plan = planCapture(4, PLAIN);
const right = spellPlan(plan);
const nat = plan.find(({ table }) => table === 'nat')?.chains ?? [];

const damaged = (find: string | RegExp, put: string): string => {
  const text = right.replace(find, put);
  if (text === right) throw new Error(`nothing in the rules matches ${String(find)}`);
  return text;
};

test('compare() finds nothing when the kernel holds the plan', async (t) => {
  t.strictSame(compare(plan, parseSave(right)), []);
});

const damages: readonly [string, string, string][] = [
  ['nothing at all', '', 'no such chain'],
  ['a table without our chains', damaged(/\*nat\n(.+\n)+/, '*nat\n'), 'no such chain'],
  ['a missing rule', damaged(/-A PLUMB_OUTPUT .*"reply of the app".*\n/, ''), 'rule 2 is "'],
  ['a missing last rule', damaged(/-A PLUMB_OUTPUT .*"outbound capture".*\n/, ''), 'is missing'],
  ['another order', damaged(/(-A PLUMB_OUTPUT .*reply of.*\n)(-A .*\n)/, '$2$1'), 'rule 2 is "'],
  ['another port', damaged('--to-ports 15001', '--to-ports 15002'), 'rule 4 is "'],
  ['a rule more', `${right}-A PLUMB_OUTPUT -j ACCEPT\n`, 'more rules than wanted'],
  ['a missing jump', damaged('-A OUTPUT -j PLUMB_OUTPUT\n', ''), 'no jump to it'],
  [
    'a foreign rule before ours',
    damaged('*nat\n', '*nat\n-A OUTPUT -p tcp -j ACCEPT\n'),
    'not the first in OUTPUT',
  ],
  [
    'a second jump',
    damaged('*nat\n', '*nat\n-A INPUT -p tcp -j PLUMB_OUTPUT\n'),
    'more than one jump to it',
  ],
  ['a chain of ours that is not planned', `${right}:PLUMB_OLD - [0:0]\n`, 'not wanted'],
  ['a table of ours that is not planned', `${right}*raw\n:PLUMB_OUTPUT - [0:0]\n`, 'not wanted'],
];

for (const [what, text, found] of damages) {
  test(`compare() finds ${what}`, async (t) => {
    const drifts = compare(plan, parseSave(text));
    t.ok(
      drifts.some((drift) => drift.found.includes(found)),
      JSON.stringify(drifts),
    );
  });
}

test('compare() leaves foreign rules behind ours alone', async (t) => {
  const text = right.replace('-A OUTPUT -j PLUMB_OUTPUT\n', '$&-A OUTPUT -p tcp -j ACCEPT\n');
  t.strictSame(compare(plan, parseSave(text)), []);
});

test('renderTable() takes out the jumps it finds and puts one first', async (t) => {
  const saved = parseSave('*nat\n-A OUTPUT -j DOCKER\n-A OUTPUT -j PLUMB_OUTPUT\n').get('nat');
  const lines = renderTable('nat', nat, saved).split('\n');
  t.equal(lines.filter((line) => line === '-D OUTPUT -j PLUMB_OUTPUT').length, 1);
  t.ok(lines.indexOf('-D OUTPUT -j PLUMB_OUTPUT') < lines.indexOf('-I OUTPUT 1 -j PLUMB_OUTPUT'));
  t.equal(lines.at(-2), 'COMMIT');
});

test('renderTable() never writes back the text of a rule that is not ours', async (t) => {
  // A comment may hold line ends, so a pod can make the save show any line it likes.
  const forged = [
    '-A OUTPUT --modprobe=/bin/evil -j PLUMB_OUTPUT',
    '-A OUTPUT -m comment --comment "x',
    '-A --modprobe=/bin/evil -j PLUMB_OUTPUT',
    ':PLUMB_--modprobe=/bin/evil - [0:0]',
    ':PLUMB_$(evil) - [0:0]',
    '-A PLUMB_OUTPUT --modprobe=/bin/evil -j ACCEPT',
  ];
  const saved = parseSave(['*nat', ...forged, 'COMMIT', ''].join('\n')).get('nat');
  const input = `${renderTable('nat', nat, saved)}${renderRemoval('nat', saved) ?? ''}`;
  t.notMatch(input, /modprobe|evil|comment --comment "x/);
  t.match(input, '-D OUTPUT 1\n');
});

test('renderTable() deletes by number from the end, so that none moves', async (t) => {
  const odd = '-A OUTPUT -p tcp -j PLUMB_OUTPUT\n';
  const saved = parseSave(`*nat\n${odd}-A OUTPUT -j X\n${odd}-A OUTPUT -g PLUMB_OUTPUT\n`);
  const deletions = renderTable('nat', nat, saved.get('nat'))
    .split('\n')
    .filter((line) => line.startsWith('-D'));
  t.strictSame(deletions, ['-D OUTPUT 4', '-D OUTPUT 3', '-D OUTPUT 1']);
});

test('renderRemoval() names nothing but what is ours', async (t) => {
  const saved = parseSave(right.replace('*nat\n', '*nat\n-A OUTPUT -j DOCKER\n')).get('nat');
  t.strictSame(renderRemoval('nat', saved)?.split('\n'), [
    '*nat',
    ':PLUMB_PREROUTING - [0:0]',
    ':PLUMB_OUTPUT - [0:0]',
    '-D OUTPUT -j PLUMB_OUTPUT',
    '-D PREROUTING -j PLUMB_PREROUTING',
    '-X PLUMB_PREROUTING',
    '-X PLUMB_OUTPUT',
    'COMMIT',
    '',
  ]);
  t.equal(renderRemoval('nat', parseSave('*nat\n-A OUTPUT -j DOCKER\n').get('nat')), undefined);
  t.equal(renderRemoval('nat', undefined), undefined);
});

test('isCaptured() and udpPackets() look at chains of ours alone', async (t) => {
  t.ok(isCaptured(parseSave(right)));
  t.notOk(isCaptured(parseSave('*nat\n-A OUTPUT -j DOCKER\n')));
  const udp = '-p udp -m comment --comment "udp is not carried"';
  const text = `*mangle\n[5:1] -A PLUMB_OUTPUT ${udp}\n[3:1] -A PLUMB_PREROUTING ${udp}\n[9:1] -A OUTPUT ${udp}\n`;
  t.equal(udpPackets(parseSave(text)), 8);
});

test('compare() and renderTable() agree on everything that can be excluded', async (t) => {
  for (const family of [4, 6] as const) {
    const wanted = planCapture(family, EVERYTHING);
    t.strictSame(compare(wanted, parseSave(spellPlan(wanted))), []);
    t.ok(compare(wanted, parseSave(right)).length > 0);
  }
});

import { test } from 'tap';
import {
  type Backend,
  chooseBackend,
  findPrograms,
  type Flavour,
  type Holding,
} from '../../../node-agent/capture/backend.ts';
import { createCommand } from '../../../node-agent/capture/command.ts';
import { parseSave } from '../../../node-agent/capture/parse.ts';

const OURS = '*nat\n:PLUMB_OUTPUT - [0:0]\nCOMMIT\n';
const FOREIGN = '*nat\n-A OUTPUT -j ACCEPT\nCOMMIT\n';
const EMPTY = '*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n';

const holding = (flavour: Flavour, four: string, six = EMPTY): Holding => {
  const rules = { 4: parseSave(four), 6: parseSave(six) };
  const backend: Backend = {
    flavour,
    read: async () => rules,
    restore: async () => {},
  };
  return { backend, rules };
};

const cases: readonly [string, readonly Holding[], Flavour, Flavour | undefined][] = [
  ['nft when both are empty', [holding('legacy', EMPTY), holding('nft', '')], 'nft', undefined],
  ['the one with rules', [holding('nft', ''), holding('legacy', FOREIGN)], 'legacy', undefined],
  [
    'the one with rules in IPv6',
    [holding('nft', ''), holding('legacy', '', FOREIGN)],
    'legacy',
    undefined,
  ],
  [
    'nft when both have rules',
    [holding('legacy', FOREIGN), holding('nft', FOREIGN)],
    'nft',
    'legacy',
  ],
  ['the one with our chains', [holding('nft', FOREIGN), holding('legacy', OURS)], 'legacy', 'nft'],
  ['the only one', [holding('legacy', EMPTY)], 'legacy', undefined],
];

for (const [what, holdings, flavour, other] of cases) {
  test(`chooseBackend() takes ${what}`, async (t) => {
    const choice = chooseBackend(holdings);
    t.equal(choice.used.backend.flavour, flavour);
    t.equal(choice.other, other);
  });
}

test('chooseBackend() throws when there is no iptables', async (t) => {
  t.throws(() => chooseBackend([]), { code: 'CAPTURE_FAILED' });
});

test('findPrograms() finds the flavours of this machine', async (t) => {
  const programs = await findPrograms(createCommand());
  t.ok(programs.size > 0);
  for (const [flavour, program] of programs) {
    t.match(program(4, 'restore'), /^iptables(-nft|-legacy)?-restore$/, flavour);
    t.match(program(6, 'save'), /^ip6tables(-nft|-legacy)?-save$/, flavour);
  }
});

import { randomBytes, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { isEmpty, LONGEST_SAVE_LINES, parseSave } from '../../../node-agent/capture/parse.ts';

const fixture = (name: string): string =>
  readFileSync(new URL(`../../fixtures/capture/${name}`, import.meta.url), 'utf8');

for (const flavour of ['nft', 'legacy']) {
  test(`parseSave() reads what the ${flavour} flavour prints`, async (t) => {
    const saved = parseSave(fixture(`save-${flavour}.txt`));
    t.strictSame([...saved.keys()].toSorted(), ['filter', 'mangle', 'nat', 'raw']);
    t.strictSame(saved.get('filter')?.get('OUTPUT'), [{ spec: '-j PLUMB_OUTPUT', packets: 0 }]);
    t.equal(saved.get('nat')?.get('PLUMB_OUTPUT')?.length, 7);
    t.notOk(isEmpty(saved));
  });
}

test('parseSave() reads counters and keeps the order of rules', async (t) => {
  const saved = parseSave('*mangle\n:A - [0:0]\n[7:900] -A A -p udp\n[0:0] -A A\nCOMMIT\n');
  t.strictSame(saved.get('mangle')?.get('A'), [
    { spec: '-p udp', packets: 7 },
    { spec: '', packets: 0 },
  ]);
});

test('parseSave() skips what is no rule, and rules outside any table', async (t) => {
  const saved = parseSave('-A X -j Y\n*nat\n# comment\nnonsense\n[1:2 -A X\n-A\nCOMMIT\n-A X -j Z');
  t.strictSame([...(saved.get('nat') ?? [])], []);
});

test('parseSave() reads a last line without an end', async (t) => {
  t.strictSame(parseSave('*nat\n-A X -j Y').get('nat')?.get('X'), [{ spec: '-j Y', packets: 0 }]);
});

test('parseSave() stops after so many lines', async (t) => {
  const saved = parseSave(`*nat\n${'-A X\n'.repeat(LONGEST_SAVE_LINES + 10)}`);
  t.equal(saved.get('nat')?.get('X')?.length, LONGEST_SAVE_LINES - 1);
});

test('isEmpty() sees past the built-in chains alone', async (t) => {
  t.ok(isEmpty(parseSave('')));
  t.ok(isEmpty(parseSave('*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n')));
  t.notOk(isEmpty(parseSave('*nat\n:MINE - [0:0]\nCOMMIT\n')));
  t.notOk(isEmpty(parseSave('*nat\n-A OUTPUT -j ACCEPT\nCOMMIT\n')));
});

test('parseSave() takes any text without throwing', async (t) => {
  const pieces = [
    '*nat',
    ':A - [0:0]',
    '-A A -j B',
    '[1:2] -A A',
    'COMMIT',
    '\n',
    '"',
    '\\',
    ' ',
    '',
  ];
  for (let i = 0; i < 5000; i += 1) {
    const text = Array.from({ length: randomInt(20) }, () =>
      randomInt(3) === 0
        ? randomBytes(6).toString('latin1')
        : (pieces[randomInt(pieces.length)] ?? ''),
    ).join(randomInt(2) === 0 ? '\n' : '');
    for (const table of parseSave(text).values()) {
      for (const rules of table.values()) {
        if (rules.some(({ spec }) => spec.includes('\n'))) t.fail(JSON.stringify(text));
      }
    }
  }
});

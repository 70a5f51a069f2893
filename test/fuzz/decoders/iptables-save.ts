/**
 * The output of `iptables-save`, which a pod with NET_ADMIN can fill with what it likes: any text is
 * read, and what is loaded in answer to it holds not one word of a rule that is not ours.
 */
import { readFileSync } from 'node:fs';
import {
  compare,
  isCaptured,
  renderRemoval,
  renderTable,
  udpPackets,
} from '../../../node-agent/capture/compare.ts';
import { isEmpty, parseSave } from '../../../node-agent/capture/parse.ts';
import { planCapture } from '../../../node-agent/capture/rules.ts';
import { EVERYTHING, PLAIN, spellPlan } from '../../helpers/capture-golden.ts';
import { must, type Decoder } from '../decoder.ts';
import { mutateLines } from '../mutate.ts';

const plan = planCapture(4, EVERYTHING);
const ours = new Set(
  plan.flatMap(({ chains }) =>
    chains.flatMap(({ name, rules }) => rules.map(({ spec }) => `-A ${name} ${spec}`)),
  ),
);
const OTHER_LINES =
  /^(\*(raw|mangle|nat|filter)|:PLUMB_[\w.:-]* - \[0:0\]|-D [\w.:-]+ (\d+|-j PLUMB_[\w.:-]*)|-X PLUMB_[\w.:-]*|-I [A-Z]+ 1 -j PLUMB_[A-Z]+|COMMIT|)$/;

function checkInput(text: string): void {
  for (const line of text.split('\n')) {
    must(ours.has(line) || OTHER_LINES.test(line), `a line that is not ours: ${line}`);
  }
}

function run(input: Buffer): string {
  const saved = parseSave(input.toString('latin1'));
  const drifts = compare(plan, saved);
  for (const { found } of drifts) must(found.length < 300, 'a long quote');
  for (const { table, chains } of plan) {
    checkInput(renderTable(table, chains, saved.get(table)));
    checkInput(renderRemoval(table, saved.get(table)) ?? '');
  }
  must(Number.isFinite(udpPackets(saved)), 'no count');
  must(isCaptured(saved) ? !isEmpty(saved) : true, 'captured, and empty');
  return isEmpty(saved) ? 'nothing in it' : 'read';
}

const saveOf = (flavour: string): Buffer =>
  readFileSync(new URL(`../../fixtures/capture/save-${flavour}.txt`, import.meta.url));
const many = (line: string): Buffer => {
  const text = `*nat\n:OUTPUT ACCEPT [0:0]\n${line.repeat(Math.floor(65_000 / line.length))}COMMIT\n`;
  return Buffer.from(text);
};

export const iptablesSave: Decoder = {
  name: 'iptables-save',
  seeds: [
    saveOf('nft'),
    saveOf('legacy'),
    Buffer.from(spellPlan(plan)),
    Buffer.from(spellPlan(planCapture(6, PLAIN))),
    Buffer.from(
      '*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -m comment --comment "x -j PLUMB_OUTPUT" -j PLUMB_OUTPUT\nCOMMIT\n',
    ),
  ],
  mutate: mutateLines,
  run,
  // The text is compared with four tables of a plan, and an answer is spelled for each.
  budgetMs: 20,
  costly: {
    'jumps into our chain': many('-A OUTPUT -j PLUMB_OUTPUT\n'),
    'a chain in each line': Buffer.from(
      `*nat\n${Array.from({ length: 4000 }, (_, i) => `:PLUMB_${i} - [0:0]`).join('\n')}`,
    ),
    'one line': Buffer.from(`*nat\n-A OUTPUT ${' -j '.repeat(16_000)}`),
    'empty lines': many('\n'),
  },
};

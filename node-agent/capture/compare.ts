/**
 * What differs between the rules a pod should have and those it has, and the `iptables-restore`
 * input that makes it right. Pure.
 *
 * A table that is as planned yields no drift and no input. Chains of others are never named, save
 * to take out a jump into a chain of ours.
 */
import type { Saved, SavedTable } from './parse.ts';
import { CHAIN_PREFIX, type ChainPlan, type Plan, type Table, UDP_COUNT } from './rules.ts';

export interface Drift {
  readonly table: Table | 'routing' | 'sysctl';
  readonly chain: string;
  readonly found: string;
}

/** Of a foreign rule, this much goes into a log line. */
const LONGEST_QUOTE = 200;

const TABLES: readonly Table[] = ['raw', 'mangle', 'nat', 'filter'];

/** Lists every difference, the tables in the order of the plan, then what should not be there. */
export function compare(plan: Plan, saved: Saved): readonly Drift[] {
  const planned = new Set(plan.map(({ table }) => table));
  return [
    ...plan.flatMap(({ table, chains }) => compareTable(table, chains, saved.get(table))),
    ...TABLES.filter((table) => !planned.has(table)).flatMap((table) =>
      compareTable(table, [], saved.get(table)),
    ),
  ];
}

function compareTable(
  table: Table,
  chains: readonly ChainPlan[],
  saved: SavedTable = new Map(),
): readonly Drift[] {
  const names = new Set(chains.map(({ name }) => name));
  const strays = [...saved.keys()].filter((name) => isOurs(name) && !names.has(name));
  return [
    ...chains.flatMap((chain) => compareChain(table, chain, saved)),
    ...strays.map((chain) => ({ table, chain, found: 'a chain that is not wanted' })),
  ];
}

function compareChain(table: Table, chain: ChainPlan, saved: SavedTable): readonly Drift[] {
  const drift = (found: string): Drift => ({ table, chain: chain.name, found });
  const rules = saved.get(chain.name);
  if (rules === undefined) return [drift('no such chain')];
  const drifts: Drift[] = [];
  const wrong = chain.rules.findIndex(({ spec }, i) => rules[i]?.spec !== spec);
  if (wrong >= 0) drifts.push(drift(`rule ${wrong + 1} is ${describe(rules[wrong]?.spec)}`));
  else if (rules.length > chain.rules.length) drifts.push(drift('more rules than wanted'));
  const jumps = jumpsTo(chain.name, saved);
  if (saved.get(chain.from)?.[0]?.spec !== `-j ${chain.name}`) {
    drifts.push(drift(jumps === 0 ? 'no jump to it' : `not the first in ${chain.from}`));
  } else if (jumps > 1) {
    drifts.push(drift('more than one jump to it'));
  }
  return drifts;
}

function describe(spec: string | undefined): string {
  return spec === undefined ? 'missing' : `"${spec.slice(0, LONGEST_QUOTE)}"`;
}

/**
 * Spells what makes one table as planned: input for `iptables-restore --noflush`, all or nothing.
 *
 * The text of a rule that we did not make is never written back. What a pod puts into a comment
 * could read as a rule of its own, with options that iptables-restore obeys as root (`--modprobe`);
 * so a jump with anything beside our chain's name in it is deleted by its number.
 */
export function renderTable(
  table: Table,
  chains: readonly ChainPlan[],
  saved: SavedTable = new Map(),
): string {
  const planned = new Set(chains.map(({ name }) => name));
  const strays = [...saved.keys()].filter((name) => isOurs(name) && !planned.has(name));
  return [
    `*${table}`,
    // Naming a chain here makes it when it is missing, and empties it.
    ...[...planned, ...strays].map((name) => `:${name} - [0:0]`),
    ...deletions(new Set([...planned, ...strays]), saved),
    ...strays.map((name) => `-X ${name}`),
    ...chains.map(({ name, from }) => `-I ${from} 1 -j ${name}`),
    ...chains.flatMap(({ name, rules }) => rules.map(({ spec }) => `-A ${name} ${spec}`)),
    'COMMIT',
    '',
  ].join('\n');
}

/** Takes out every jump into these chains, numbered ones first and from the end, so none moves. */
function deletions(names: ReadonlySet<string>, saved: SavedTable): readonly string[] {
  const numbered: string[] = [];
  const plain: string[] = [];
  for (const [chain, rules] of saved) {
    if (isOurs(chain) || !NAME.test(chain)) continue;
    for (let i = rules.length - 1; i >= 0; i -= 1) {
      const spec = rules[i]?.spec ?? '';
      const name = targetOf(spec);
      if (name === undefined || !names.has(name)) continue;
      if (spec === `-j ${name}`) plain.push(`-D ${chain} ${spec}`);
      else numbered.push(`-D ${chain} ${i + 1}`);
    }
  }
  return [...numbered, ...plain];
}

/** Spells what takes everything of ours out of one table, or undefined when nothing is there. */
export function renderRemoval(table: Table, saved: SavedTable | undefined): string | undefined {
  if (saved === undefined || ![...saved.keys()].some(isOurs)) return undefined;
  return renderTable(table, [], saved);
}

/** Says whether any chain of ours is there. */
export function isCaptured(saved: Saved): boolean {
  return [...saved.values()].some((table) => [...table.keys()].some(isOurs));
}

/** How many UDP packets passed by since the rules were loaded. */
export function udpPackets(saved: Saved): number {
  let packets = 0;
  for (const [name, rules] of saved.get('mangle') ?? []) {
    if (!isOurs(name)) continue;
    for (const rule of rules) if (rule.spec.includes(`"${UDP_COUNT}"`)) packets += rule.packets;
  }
  return packets;
}

/** What the kernel takes for a chain, and nothing that iptables-restore could take for more. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,27}$/;

function isOurs(chain: string): boolean {
  return chain.startsWith(CHAIN_PREFIX) && NAME.test(chain);
}

/** The chain into which a rule leads by `-j` or `-g`, which stand at its end. */
function targetOf(spec: string): string | undefined {
  return /(?:^| )-[jg] (\S+)$/.exec(spec)?.[1];
}

function jumpsTo(name: string, saved: SavedTable): number {
  let jumps = 0;
  for (const [chain, rules] of saved) {
    if (isOurs(chain)) continue;
    for (const { spec } of rules) if (targetOf(spec) === name) jumps += 1;
  }
  return jumps;
}

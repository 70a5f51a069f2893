/**
 * Reads what `iptables-save -c` prints: tables, their chains, and the rules of each in order.
 *
 * Takes any text without throwing: a line that is none of these is skipped, so a table that cannot
 * be read looks empty, differs from what is wanted and is loaded again.
 */
export interface SavedRule {
  /** All that follows `-A CHAIN `. */
  readonly spec: string;
  readonly packets: number;
}

export type SavedChain = readonly SavedRule[];

export type SavedTable = ReadonlyMap<string, SavedChain>;

export type Saved = ReadonlyMap<string, SavedTable>;

/** A pod that can load rules could load very many; what stands beyond this is not read. */
export const LONGEST_SAVE_LINES = 100_000;

const RULE = /^(?:\[(\d+):\d+\] )?-A (\S+) ?(.*)$/;

export function parseSave(text: string): Saved {
  const tables = new Map<string, Map<string, SavedRule[]>>();
  let table: Map<string, SavedRule[]> | undefined;
  let lines = 0;
  for (let start = 0; start < text.length && lines < LONGEST_SAVE_LINES; lines += 1) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(start, end);
    start = end + 1;
    if (line.startsWith('*')) {
      table = new Map();
      tables.set(line.slice(1), table);
    } else if (line === 'COMMIT') {
      table = undefined;
    } else if (table !== undefined) {
      readLine(table, line);
    }
  }
  return tables;
}

/** Says whether there is anything at all: a rule, or a chain that is not built in. */
export function isEmpty(saved: Saved): boolean {
  for (const table of saved.values()) {
    for (const [name, rules] of table) {
      if (rules.length > 0 || !BUILT_IN.has(name)) return false;
    }
  }
  return true;
}

const BUILT_IN: ReadonlySet<string> = new Set([
  'PREROUTING',
  'INPUT',
  'FORWARD',
  'OUTPUT',
  'POSTROUTING',
]);

function readLine(table: Map<string, SavedRule[]>, line: string): void {
  if (line.startsWith(':')) {
    const space = line.indexOf(' ');
    const name = space < 0 ? line.slice(1) : line.slice(1, space);
    if (!table.has(name)) table.set(name, []);
    return;
  }
  const [, packets = '0', chain, spec = ''] = RULE.exec(line) ?? [];
  if (chain === undefined) return;
  const rules = table.get(chain);
  const rule = { spec, packets: Number(packets) };
  if (rules === undefined) table.set(chain, [rule]);
  else rules.push(rule);
}

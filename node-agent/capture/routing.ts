/**
 * The policy routing inside a pod that turns an application's replies back to the agent, and the
 * connection-tracking setting that lets older connections live on when capture begins.
 *
 * Everything here is idempotent, and nothing is written that is right already.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Family } from '#common/address.ts';
import { inNetns } from '#common/sys/netns.ts';
import type { Command } from './command.ts';
import type { Drift } from './compare.ts';
import { MARK_MASK, RETURN_MARK } from './rules.ts';

export const ROUTE_TABLE = 100;
export const RULE_PRIORITY = 32_764;

const MARK = `0x${RETURN_MARK.toString(16)}/0x${MARK_MASK.toString(16)}`;
const EVERYWHERE: Readonly<Record<Family, string>> = { 4: '0.0.0.0/0', 6: '::/0' };

/** How many of our rule and of our route there are; one of each is right. */
export interface Routing {
  readonly rules: number;
  readonly routes: number;
}

export async function readRouting(
  command: Command,
  netns: number,
  family: Family,
): Promise<Routing> {
  const ip = async (...args: readonly string[]): Promise<string> =>
    command({ program: 'ip', args: [`-${family}`, ...args], netns });
  const [rules, routes] = await Promise.all([
    ip('rule', 'show', 'priority', String(RULE_PRIORITY)),
    // `table 100` is an error while no such table exists; a list of all tables never is.
    ip('route', 'show', 'table', 'all', 'type', 'local'),
  ]);
  return parseRouting(rules, routes);
}

/** Counts our rule and route in what `ip` prints. */
export function parseRouting(rules: string, routes: string): Routing {
  const rule = `${RULE_PRIORITY}:\tfrom all fwmark ${MARK} lookup ${ROUTE_TABLE}`;
  const route = new RegExp(`^local default dev lo .*\\btable ${ROUTE_TABLE}\\b`);
  return {
    rules: rules.split('\n').filter((line) => line.trim() === rule).length,
    routes: routes.split('\n').filter((line) => route.test(line)).length,
  };
}

export function compareRouting(family: Family, { rules, routes }: Routing): readonly Drift[] {
  const drift = (found: string): Drift => ({ table: 'routing', chain: `IPv${family}`, found });
  return [
    ...(rules === 1 ? [] : [drift(`${rules} rules for mark ${MARK}`)]),
    ...(routes === 1 ? [] : [drift(`${routes} routes to lo in table ${ROUTE_TABLE}`)]),
  ];
}

/** Spells what leads from `found` to `wanted` of each, as input for `ip -batch`. */
export function renderRouting(family: Family, found: Routing, wanted: 0 | 1): string {
  const rule = `fwmark ${MARK} priority ${RULE_PRIORITY} lookup ${ROUTE_TABLE}`;
  const route = `local ${EVERYWHERE[family]} dev lo table ${ROUTE_TABLE}`;
  const steps = (what: string, count: number): readonly string[] =>
    count < wanted
      ? [`${what.startsWith('local') ? 'route' : 'rule'} add ${what}`]
      : Array.from(
          { length: count - wanted },
          () => `${what.startsWith('local') ? 'route' : 'rule'} del ${what}`,
        );
  return [...steps(route, found.routes), ...steps(rule, found.rules), ''].join('\n');
}

/** Makes rule and route stand once (1) or not at all (0). */
export async function writeRouting(
  command: Command,
  netns: number,
  change: { readonly family: Family; readonly found: Routing; readonly wanted: 0 | 1 },
): Promise<void> {
  const { family, found, wanted } = change;
  const input = renderRouting(family, found, wanted);
  if (input === '') return;
  await command({ program: 'ip', args: [`-${family}`, '-batch', '-'], input, netns });
}

const LOOSE = '/proc/sys/net/netfilter/nf_conntrack_tcp_loose';

/** Whether tracking takes up connections in mid-stream; undefined when it cannot be read. */
export function readLoose(netns: number): boolean | undefined {
  const text = readInside(netns, LOOSE);
  return text === undefined ? undefined : text.trim() !== '0';
}

/** Returns whether the setting could be written. */
export function writeLoose(netns: number, loose: boolean): boolean {
  return inNetns(netns, () => {
    try {
      writeFileSync(LOOSE, loose ? '1' : '0');
      return true;
    } catch {
      return false; // Read-only /proc/sys, or no connection tracking in the kernel yet.
    }
  });
}

/** Which families the namespace's kernel has, and in which `lo` can carry what is turned back. */
export function readFamilies(netns: number): {
  readonly families: readonly Family[];
  readonly routed: readonly Family[];
} {
  const disabled = readInside(netns, '/proc/sys/net/ipv6/conf/lo/disable_ipv6');
  if (disabled === undefined) return { families: [4], routed: [4] };
  return { families: [4, 6], routed: disabled.trim() === '1' ? [4] : [4, 6] };
}

/** Whether any table of the legacy flavour was ever set up in the namespace. */
export function readLegacyTables(netns: number): boolean {
  return ['ip_tables_names', 'ip6_tables_names'].some(
    (file) => (readInside(netns, `/proc/thread-self/net/${file}`) ?? '') !== '',
  );
}

function readInside(netns: number, path: string): string | undefined {
  return inNetns(netns, () => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return undefined; // The kernel lacks what this file speaks of.
    }
  });
}

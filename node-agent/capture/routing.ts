/**
 * The policy routing inside a pod that turns an application's replies back to the agent, and the
 * connection-tracking setting that lets older connections live on when capture begins.
 *
 * Everything here is idempotent, and nothing is written that is right already.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Family } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';
import { ENOENT, errnoName, SOL_NETLINK } from '#common/sys/constants.ts';
import { closeFd } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { openNetlink, receiveBytes, sendBytes } from '#common/sys/raw-sockets.ts';
import { setOption } from '#common/sys/socket-options.ts';
import type { Drift } from './compare.ts';
import { MARK_MASK, RETURN_MARK } from './rules.ts';
import {
  changeRequest,
  listRequest,
  parseReply,
  ROUTE_TABLE,
  RULE_PRIORITY,
  type What,
} from './rtnetlink.ts';

const NETLINK_ROUTE = 0;
/** Has the kernel list one table only, however many routes the others hold. */
const NETLINK_GET_STRICT_CHK = 12;
/** A pod may have very many rules; ours is among the first or counts as missing. */
const MOST_REPLIES = 64;

const MARK = { mark: RETURN_MARK, mask: MARK_MASK };

/** How many of our rule and of our route there are; one of each is right. */
export interface Routing {
  readonly rules: number;
  readonly routes: number;
}

export function readRouting(netns: number, family: Family): Routing {
  return withNetlink(netns, (fd) => ({
    rules: count(fd, 'rule', family),
    routes: count(fd, 'route', family),
  }));
}

export function compareRouting(family: Family, { rules, routes }: Routing): readonly Drift[] {
  const drift = (found: string): Drift => ({ table: 'routing', chain: `IPv${family}`, found });
  return [
    ...(rules === 1 ? [] : [drift(`${rules} rules at ${RULE_PRIORITY} for the mark`)]),
    ...(routes === 1 ? [] : [drift(`${routes} routes to lo in table ${ROUTE_TABLE}`)]),
  ];
}

/** Makes rule and route stand once (1) or not at all (0). */
export function writeRouting(
  netns: number,
  { family, found, wanted }: { family: Family; found: Routing; wanted: 0 | 1 },
): void {
  withNetlink(netns, (fd) => {
    const settle = (what: What, there: number): void => {
      if (there < wanted) change(fd, what, 'add', family);
      for (let n = there; n > wanted; n -= 1) change(fd, what, 'remove', family);
    };
    settle('route', found.routes);
    settle('rule', found.rules);
  });
}

function withNetlink<T>(netns: number, work: (fd: number) => T): T {
  return inNetns(netns, () => {
    const fd = openNetlink(NETLINK_ROUTE);
    if (fd < 0) throw refused('read', fd);
    try {
      setOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
      return work(fd);
    } finally {
      closeFd(fd);
    }
  });
}

/** The kernel answers while it is asked, so nothing here waits. */
function count(fd: number, what: What, family: Family): number {
  const sent = sendBytes(fd, listRequest(what, family));
  if (sent < 0) throw refused('read', sent);
  let ours = 0;
  for (let i = 0; i < MOST_REPLIES; i += 1) {
    const bytes = receiveBytes(fd);
    if (typeof bytes === 'number') throw refused('read', bytes);
    const reply = parseReply(bytes, MARK);
    // As long as a table has no route there is no such table.
    if (reply.error < 0 && reply.error !== -ENOENT) throw refused('read', reply.error);
    ours += reply.ours;
    if (reply.isLast) break;
  }
  return ours;
}

function change(fd: number, what: What, how: 'add' | 'remove', family: Family): void {
  const sent = sendBytes(fd, changeRequest(what, how, { family, ...MARK }));
  const bytes = sent < 0 ? sent : receiveBytes(fd);
  const error = typeof bytes === 'number' ? bytes : parseReply(bytes, MARK).error;
  if (error < 0) throw refused(`${how} a ${what} of`, error);
}

function refused(what: string, errno: number): MeshError {
  const found = errnoName(errno);
  return new MeshError('CAPTURE_FAILED', `Cannot ${what} the policy routing of a pod: ${found}`);
}

const LOOSE = '/proc/sys/net/netfilter/nf_conntrack_tcp_loose';

/** TCP over IPv6 obeys it too. */
const MARK_ACCEPTED = '/proc/sys/net/ipv4/tcp_fwmark_accept';

/**
 * Lets an accepted connection keep the mark of its SYN (Linux 3.15), so that its packets are routed
 * once. Where it cannot be written they are marked and routed again one by one, as correctly.
 */
export function writeMarkAccepted(netns: number, keeps: boolean): void {
  inNetns(netns, () => {
    try {
      writeFileSync(MARK_ACCEPTED, keeps ? '1' : '0');
    } catch {
      // Read-only /proc/sys: slower, nothing else.
    }
  });
}

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

/**
 * The messages of rtnetlink that capture needs: list, add and delete one policy rule and one route.
 * Pure: bytes in, bytes out.
 *
 * Numbers are in the byte order of the machine, which is little-endian wherever we run.
 */
import type { Family } from '#common/address.ts';

export const ROUTE_TABLE = 100;
export const RULE_PRIORITY = 32_764;

const AF: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };

const HEAD_BYTES = 16;
/** struct fib_rule_hdr and struct rtmsg alike. */
const BODY_BYTES = 12;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const RTM = {
  rule: { add: 32, remove: 33, list: 34 },
  route: { add: 24, remove: 25, list: 26 },
} as const;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_DUMP = 0x300;
const NLM_F_CREATE_EXCL = 0x600;

const FR_ACT_TO_TBL = 1;
const FRA = { priority: 6, mark: 10, table: 15, mask: 16 } as const;
const RTN_LOCAL = 2;
const RTPROT_BOOT = 3;
const RT_SCOPE_HOST = 254;
const RTA_OIF = 4;
const RTA_TABLE = 15;
/** In every network namespace `lo` is the first interface. */
const LO = 1;

export interface Mark {
  readonly mark: number;
  readonly mask: number;
}

export type What = 'rule' | 'route';

/** Asks for all rules of a family, or for the routes of our table. */
export function listRequest(what: What, family: Family): Buffer {
  const body = Buffer.alloc(BODY_BYTES);
  body[0] = AF[family];
  if (what === 'route') body[4] = ROUTE_TABLE;
  return message(RTM[what].list, NLM_F_REQUEST | NLM_F_DUMP, body, []);
}

/** Adds or removes the rule that leads marked packets to our table, or that table's one route. */
export function changeRequest(
  what: What,
  how: 'add' | 'remove',
  { family, mark, mask }: Mark & { readonly family: Family },
): Buffer {
  const flags = NLM_F_REQUEST | NLM_F_ACK | (how === 'add' ? NLM_F_CREATE_EXCL : 0);
  const body = Buffer.alloc(BODY_BYTES);
  body[0] = AF[family];
  body[4] = ROUTE_TABLE;
  if (what === 'rule') {
    body[7] = FR_ACT_TO_TBL;
    const attributes: [number, number][] = [
      [FRA.priority, RULE_PRIORITY],
      [FRA.mark, mark],
      [FRA.mask, mask],
      [FRA.table, ROUTE_TABLE],
    ];
    return message(RTM.rule[how], flags, body, attributes);
  }
  body[5] = RTPROT_BOOT;
  body[6] = RT_SCOPE_HOST;
  body[7] = RTN_LOCAL;
  return message(RTM.route[how], flags, body, [
    [RTA_TABLE, ROUTE_TABLE],
    [RTA_OIF, LO],
  ]);
}

export interface Reply {
  /** How many rules or routes were exactly ours. */
  readonly ours: number;
  readonly isLast: boolean;
  /** A negated error number when the kernel refused, else 0. */
  readonly error: number;
}

/** Reads one datagram of the kernel's answer; what cannot be followed ends it. */
export function parseReply(bytes: Buffer, wanted: Mark): Reply {
  let ours = 0;
  for (let at = 0; at + HEAD_BYTES <= bytes.length;) {
    const length = bytes.readUInt32LE(at);
    const type = bytes.readUInt16LE(at + 4);
    const end = at + length;
    if (length < HEAD_BYTES || end > bytes.length) break;
    if (type === NLMSG_DONE) return { ours, isLast: true, error: 0 };
    if (type === NLMSG_ERROR) {
      const error = length >= HEAD_BYTES + 4 ? bytes.readInt32LE(at + HEAD_BYTES) : 0;
      return { ours, isLast: true, error };
    }
    const body = bytes.subarray(at + HEAD_BYTES, end);
    if (type === RTM.rule.add && isOurRule(body, wanted)) ours += 1;
    if (type === RTM.route.add && isOurRoute(body)) ours += 1;
    at += (length + 3) & ~3;
  }
  return { ours, isLast: false, error: 0 };
}

/** A rule of ours matches the mark and nothing else: any other attribute would narrow it. */
function isOurRule(body: Buffer, { mark, mask }: Mark): boolean {
  if (body.length < BODY_BYTES || body.readUInt16LE(1) !== 0) return false;
  const isPlain = body[3] === 0 && body[7] === FR_ACT_TO_TBL && body.readUInt32LE(8) === 0;
  const attributes = attributesOf(body);
  return (
    isPlain &&
    attributes.get(FRA.priority) === RULE_PRIORITY &&
    attributes.get(FRA.mark) === mark &&
    attributes.get(FRA.mask) === mask &&
    attributes.get(FRA.table) === ROUTE_TABLE &&
    ![...attributes.keys()].some((type) => NARROWING.has(type))
  );
}

/** FRA_DST, SRC, IIFNAME, OIFNAME, TUN_ID, L3MDEV, UID_RANGE, IP_PROTO, SPORT and DPORT. */
const NARROWING: ReadonlySet<number> = new Set([1, 2, 3, 12, 17, 19, 20, 22, 23, 24]);

function isOurRoute(body: Buffer): boolean {
  if (body.length < BODY_BYTES || body.readUInt16LE(1) !== 0 || body[7] !== RTN_LOCAL) return false;
  const attributes = attributesOf(body);
  return attributes.get(RTA_TABLE) === ROUTE_TABLE && attributes.get(RTA_OIF) === LO;
}

/** Attributes by type; of those that are not 32 bits long only the type is of interest. */
function attributesOf(body: Buffer): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  for (let at = BODY_BYTES; at + 4 <= body.length;) {
    const length = body.readUInt16LE(at);
    const type = body.readUInt16LE(at + 2) & 0x3fff;
    if (length < 4 || at + length > body.length) break;
    found.set(type, length === 8 ? body.readUInt32LE(at + 4) : -1);
    at += (length + 3) & ~3;
  }
  return found;
}

function message(
  type: number,
  flags: number,
  body: Buffer,
  attributes: readonly (readonly [number, number])[],
): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + BODY_BYTES + 8 * attributes.length);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  body.copy(bytes, HEAD_BYTES);
  for (const [i, [attribute, value]] of attributes.entries()) {
    const at = HEAD_BYTES + BODY_BYTES + 8 * i;
    bytes.writeUInt16LE(8, at);
    bytes.writeUInt16LE(attribute, at + 2);
    bytes.writeUInt32LE(value, at + 4);
  }
  return bytes;
}

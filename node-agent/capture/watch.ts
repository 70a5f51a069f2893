/**
 * Notices cheaply that something in a pod's capture may have changed, so that the rules need to be
 * read only then.
 *
 * Asking costs some microseconds a pod. It may say "changed" when nothing of ours did, never the
 * other way round: nft counts its generations, legacy tables are hashed, policy routing reports its
 * changes, and the one setting is read.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { Family } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';
import { EAGAIN, errnoName, SOCK_RAW, SOL_IP, SOL_IPV6 } from '#common/sys/constants.ts';
import { closeFd, recv, send, socket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { openNetlink } from '#common/sys/raw-sockets.ts';
import { newSlab } from '#common/sys/slab.ts';
import { askOption } from '#common/sys/socket-options.ts';
import type { Flavour } from './backend.ts';
import { hashEntries } from './legacy-entries.ts';
import { ROUTE_TABLE } from './rtnetlink.ts';
import type { Table } from './rules.ts';

const NETLINK_ROUTE = 0;
const NETLINK_NETFILTER = 12;
/** Changes to routes and to rules, of IPv4 and of IPv6. */
const ROUTING_GROUPS = [7, 8, 11, 19];

export interface WatchTarget {
  readonly netns: number;
  readonly flavour: Flavour;
  readonly families: readonly Family[];
  /** The tables to look at where the flavour is legacy. */
  readonly tables: readonly Table[];
}

export class CaptureWatch {
  readonly #routing: number;
  readonly #generation: number;
  readonly #legacy: readonly LegacyTable[];
  readonly #loose: number;
  #seen = '';
  #routed = 0;
  #turn = 0;

  constructor(target: WatchTarget) {
    const opened: number[] = [];
    const open = (fd: number): number => {
      if (fd < 0) {
        for (const other of opened) closeFd(other);
        throw new MeshError('CAPTURE_FAILED', `Cannot watch a pod: ${errnoName(fd)}`);
      }
      opened.push(fd);
      return fd;
    };
    const { flavour, families, tables } = target;
    const nft = flavour === 'nft';
    [this.#routing, this.#generation, this.#legacy, this.#loose] = inNetns(target.netns, () => [
      open(openNetlink(NETLINK_ROUTE, ROUTING_GROUPS)),
      nft ? open(openNetlink(NETLINK_NETFILTER)) : -1,
      nft
        ? []
        : families.flatMap((family) => {
            const fd = open(socket(family, SOCK_RAW, IPPROTO_RAW));
            return tables.map((table) => ({ family, fd, table, size: 0, hash: 0 }));
          }),
      openSetting(),
    ]);
    for (const table of this.#legacy) {
      table.size = legacySize(table);
      table.hash = legacyHash(table);
    }
  }

  /** Says whether anything changed since it was last asked, and at the first time. */
  changed(): boolean {
    this.#routed += drainRouting(this.#routing);
    const now = `${this.#routed} ${readSetting(this.#loose)} ${this.#ruleStamp()}`;
    const before = this.#seen;
    this.#seen = now;
    return now !== before;
  }

  close(): void {
    closeFd(this.#routing);
    if (this.#generation >= 0) closeFd(this.#generation);
    for (const fd of new Set(this.#legacy.map((table) => table.fd))) closeFd(fd);
    if (this.#loose >= 0) closeSync(this.#loose);
  }

  /**
   * Reading all entries of a legacy table costs ten times as much as asking for its size. So each
   * turn reads a third of the tables, and asks for the size of nat, without which nothing works.
   */
  #ruleStamp(): string | number {
    if (this.#generation >= 0) return generation(this.#generation);
    this.#turn = (this.#turn + 1) % LEGACY_TURNS;
    for (const [i, table] of this.#legacy.entries()) {
      const isDue = i % LEGACY_TURNS === this.#turn;
      if (isDue || table.table === 'nat') table.size = legacySize(table);
      if (isDue) table.hash = legacyHash(table);
    }
    return this.#legacy.map(({ size, hash }) => `${size} ${hash}`).join(' ');
  }
}

/** After so many calls of `changed` every legacy table has been read. */
export const LEGACY_TURNS = 3;

interface LegacyTable {
  readonly family: Family;
  readonly fd: number;
  readonly table: Table;
  size: number;
  hash: number;
}

const scratch = newSlab(1 << 16);

/** struct nlmsghdr and struct nfgenmsg of NFT_MSG_GETGEN. */
const QUESTION_BYTES = 20;
const NFT_MSG_GETGEN = (10 << 8) | 16;
const NLM_F_REQUEST = 1;
const question = newSlab(QUESTION_BYTES);
question.bytes.fill(0);
question.bytes.writeUInt32LE(QUESTION_BYTES, 0);
question.bytes.writeUInt16LE(NFT_MSG_GETGEN, 4);
question.bytes.writeUInt16LE(NLM_F_REQUEST, 6);

/** The number that every change of an nft rule set raises; negative when it cannot be had. */
function generation(fd: number): number {
  const sent = send(fd, question, 0, QUESTION_BYTES);
  if (sent < 0) return sent;
  const n = recv(fd, scratch, 0, scratch.bytes.length);
  if (n < 0) return n;
  // The first attribute behind the two heads is NFTA_GEN_ID, 32 bits in network order.
  return n >= QUESTION_BYTES + 8 ? scratch.bytes.readUInt32BE(QUESTION_BYTES + 4) : -1;
}

const IPPROTO_RAW = 255;
const GET_INFO = 64;
const GET_ENTRIES = 65;
const NAME_BYTES = 32;
const INFO_BYTES = 84;
const ENTRIES_HEAD = 40;
let tableSlab = newSlab(1 << 14);

function legacySize({ fd, family, table }: LegacyTable): number {
  ask(table);
  const level = family === 4 ? SOL_IP : SOL_IPV6;
  const info = askOption(fd, level, GET_INFO, { slab: tableSlab, length: INFO_BYTES });
  return info < 0 ? info : tableSlab.bytes.readUInt32LE(INFO_BYTES - 4);
}

/** A number for the rules of a legacy table, negative when it cannot be read. */
function legacyHash({ fd, family, table, size }: LegacyTable): number {
  if (size < 0) return size;
  const length = ENTRIES_HEAD + size;
  if (length > tableSlab.bytes.length) tableSlab = newSlab(2 * length);
  // The kernel leaves gaps between the parts of a rule as they are.
  tableSlab.bytes.fill(0, 0, length);
  tableSlab.bytes.write(table);
  tableSlab.bytes.writeUInt32LE(size, NAME_BYTES);
  const level = family === 4 ? SOL_IP : SOL_IPV6;
  const entries = askOption(fd, level, GET_ENTRIES, { slab: tableSlab, length });
  // Between the two questions the table may have changed its size: then this is a change.
  return entries < 0 ? entries : hashEntries(tableSlab.bytes, ENTRIES_HEAD, length, family);
}

function ask(table: Table): void {
  tableSlab.bytes.fill(0, 0, INFO_BYTES);
  tableSlab.bytes.write(table);
}

const MOST_EVENTS_A_TURN = 64;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const TABLE_AT = 20;

/** Takes the events that wait and returns how many may concern us. */
function drainRouting(fd: number): number {
  let count = 0;
  for (let i = 0; i < MOST_EVENTS_A_TURN; i += 1) {
    const n = recv(fd, scratch, 0, scratch.bytes.length);
    if (n === -EAGAIN) break;
    count += n < TABLE_AT || concerns(scratch.bytes) ? 1 : 0;
  }
  return count;
}

/** A route counts when it is in our table; rules, errors and lost events always do. */
function concerns(message: Buffer): boolean {
  const type = message.readUInt16LE(4);
  if (type !== RTM_NEWROUTE && type !== RTM_DELROUTE) return true;
  return message[TABLE_AT] === ROUTE_TABLE;
}

const LOOSE = '/proc/sys/net/netfilter/nf_conntrack_tcp_loose';
const setting = Buffer.alloc(1);

/** The file stays bound to the namespace in which it was opened. */
function openSetting(): number {
  try {
    return openSync(LOOSE, 'r');
  } catch {
    return -1; // No connection tracking in this kernel yet, or a hidden /proc/sys.
  }
}

function readSetting(fd: number): number {
  if (fd < 0) return fd;
  readSync(fd, setting, 0, 1, 0);
  return setting[0] ?? 0;
}

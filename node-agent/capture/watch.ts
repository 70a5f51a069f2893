/**
 * Notices cheaply that something in a pod's capture may have changed, so that the rules need to be
 * read only then.
 *
 * Asking costs some microseconds a pod. It may say "changed" when nothing of ours did, never the
 * other way round: nft counts its generations, legacy tables are hashed, policy routing reports its
 * changes, and the one setting is read. What counts is what happened since the watch was made.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { Family } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';
import type { CaptureOptions } from '#common/mesh/workload.ts';
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

/** The tables that a pod with these options has rules of ours in. */
export function watchedTables(options: CaptureOptions): readonly Table[] {
  return [
    'mangle',
    'nat',
    ...(options.failClosed ? (['filter'] as const) : []),
    ...(options.dnsCapture ? (['raw'] as const) : []),
  ];
}

/** After so many calls of `changed` every legacy table and the setting have been read. */
export const WATCH_TURNS = 3;

export class CaptureWatch {
  readonly #routing: number;
  readonly #generation: number;
  readonly #legacy: readonly LegacyTable[];
  readonly #loose: number;
  #seen = 0;
  #setting = 0;
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
            return tables.map((table) => newLegacyTable(family, fd, table));
          }),
      openSetting(),
    ]);
    this.catchUp();
  }

  /**
   * Takes everything as it is now for seen. To be called after every writing of our own: otherwise
   * damage that is done again, before it was seen repaired, looks like the damage that was seen.
   */
  catchUp(): void {
    for (let i = 0; i < WATCH_TURNS; i += 1) this.changed();
  }

  /** Says whether anything changed since the last calls, of which each looks at its share. */
  changed(): boolean {
    this.#turn = (this.#turn + 1) % WATCH_TURNS;
    let isChanged = drainRouting(this.#routing) > 0;
    if (this.#turn === 0) {
      const setting = readSetting(this.#loose);
      isChanged ||= setting !== this.#setting;
      this.#setting = setting;
    }
    if (this.#generation >= 0) {
      const now = generation(this.#generation);
      isChanged ||= now !== this.#seen;
      this.#seen = now;
    }
    for (let i = this.#turn; i < this.#legacy.length; i += WATCH_TURNS) {
      const table = this.#legacy[i];
      if (table !== undefined && readLegacy(table)) isChanged = true;
    }
    return isChanged;
  }

  close(): void {
    closeFd(this.#routing);
    if (this.#generation >= 0) closeFd(this.#generation);
    for (const fd of new Set(this.#legacy.map((table) => table.fd))) closeFd(fd);
    if (this.#loose >= 0) closeSync(this.#loose);
  }
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
/** struct ipt_get_entries: the name, the size, and a gap before the entries. */
const ENTRIES_HEAD = 40;

interface LegacyTable {
  readonly family: Family;
  readonly fd: number;
  /** The name, as the kernel wants it. */
  readonly name: Buffer;
  /** Of its entries in bytes; a negated error number when it cannot be read. */
  size: number;
  hash: number;
}

function newLegacyTable(family: Family, fd: number, table: Table): LegacyTable {
  const name = Buffer.alloc(NAME_BYTES);
  name.write(table);
  return { family, fd, name, size: 0, hash: 0 };
}

/** Where all tables are read to, and the same bytes as words. */
let entries = newSlab(1 << 14);
let words = new Int32Array(entries.bytes.buffer);

/**
 * Reads a table and says whether it is another than at the last time. The kernel gives the entries
 * only to who knows their size, so that is asked for only when it is not the old one any more.
 */
function readLegacy(table: LegacyTable): boolean {
  let length = getEntries(table);
  const isResized = length < 0;
  if (isResized) {
    const before = table.size;
    table.size = getSize(table);
    if (table.size < 0) return table.size !== before;
    length = getEntries(table);
  }
  // A table that changed between the two questions is read whole at its next turn.
  if (length < 0) return true;
  const hash = hashEntries(words, ENTRIES_HEAD, length, table.family);
  const isChanged = isResized || hash !== table.hash;
  table.hash = hash;
  return isChanged;
}

/** Reads the entries and returns how many bytes that are with the head; negative if it cannot. */
function getEntries({ family, fd, name, size }: LegacyTable): number {
  const length = ENTRIES_HEAD + size;
  if (length > entries.bytes.length) {
    entries = newSlab(2 * length);
    words = new Int32Array(entries.bytes.buffer);
  }
  // The kernel leaves gaps between the parts of a rule as they are.
  entries.bytes.fill(0, NAME_BYTES, length);
  entries.bytes.set(name);
  entries.bytes.writeUInt32LE(size, NAME_BYTES);
  const level = family === 4 ? SOL_IP : SOL_IPV6;
  return askOption(fd, level, GET_ENTRIES, { slab: entries, length });
}

function getSize({ family, fd, name }: LegacyTable): number {
  entries.bytes.fill(0, NAME_BYTES, INFO_BYTES);
  entries.bytes.set(name);
  const level = family === 4 ? SOL_IP : SOL_IPV6;
  const info = askOption(fd, level, GET_INFO, { slab: entries, length: INFO_BYTES });
  return info < 0 ? info : entries.bytes.readUInt32LE(INFO_BYTES - 4);
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

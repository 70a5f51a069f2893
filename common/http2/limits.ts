/**
 * Every bound that protects an HTTP/2 endpoint of ours from its peer, with its reason.
 *
 * A rate is a bucket: `burst` events at once, then `perSecond`. The figures stand far above what a
 * peer that behaves can reach and far below what costs us anything; the attack that each of them
 * stops is named beside it.
 */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** What we let a peer have unread in one stream, and what it may have in flight in all of them. */
export const STREAM_WINDOW = 4 * 1024 * 1024;
export const CONNECTION_WINDOW = 16 * 1024 * 1024;

/** Unconsumed bytes of all streams of a connection up to which its credit comes back on receipt. */
export const CONNECTION_HOLD = 64 * 1024 * 1024;

/** Frames that we take; larger ones only cost the peer memory. */
export const MAX_FRAME = 1024 * 1024;

/** Frames that we send: with its head, a DATA frame of this size fills 16 TLS records to the byte. */
export const MAX_DATA_SENT = 16 * 16_384 - 9;

/** An encoded header block, all CONTINUATION frames together, and the list that it decodes to. */
export const MAX_HEADER_BLOCK = 64 * 1024;
export const MAX_HEADER_LIST = 64 * 1024;

/** CVE-2024-27983 and its kin: a block in ever more CONTINUATION frames, empty ones perhaps. */
export const MAX_CONTINUATIONS = 16;

/** Header blocks that we send always fit one frame, so that we never send a CONTINUATION. */
export const MAX_BLOCK_SENT = 16_384;

/** Frames of a few settings or a reason: nobody needs more, and they are collected whole. */
export const MAX_SMALL_FRAME = 16_384;

/** RFC 7541 section 4.2 has at most two at the start of a block. */
export const MAX_TABLE_UPDATES = 2;

/** Streams that a peer may have open at a server of ours. */
export const MAX_STREAMS = 200;

/** What a client assumes until the server's SETTINGS say it. */
export const ASSUMED_STREAMS = 100;

/** Ended streams that are remembered, so that frames that were under way are told from faults. */
export const MAX_REMEMBERED = 256;

export interface Rates {
  /** SETTINGS: each is answered (CVE-2019-9515). */
  readonly settings: Rate;
  /** PING: each is answered (CVE-2019-9512). */
  readonly pings: Rate;
  /** DATA without data that ends nothing (CVE-2019-9518). */
  readonly emptyData: Rate;
  /** PRIORITY, GOAWAY, unknown types, what comes for streams that are gone: work without effect. */
  readonly idleFrames: Rate;
  /** WINDOW_UPDATE, beyond what our own DATA earns. */
  readonly windowUpdates: Rate;
  /** Bytes of header blocks, beyond `FREE_HEADER_BYTES` of each: they cost far more than DATA. */
  readonly headerBytes: Rate;
  /**
   * Streams that the peer resets before they were answered (rapid reset, CVE-2023-44487): all that
   * it may have open, twice. Each may have cost us a connection to the application.
   */
  readonly earlyResets: Rate;
  /** Streams that we reset for a fault of the peer's (MadeYouReset, CVE-2025-8671). */
  readonly provokedResets: Rate;
}

export const RATES: Rates = {
  settings: { burst: 100, perSecond: 10 },
  pings: { burst: 200, perSecond: 20 },
  emptyData: { burst: 1000, perSecond: 100 },
  idleFrames: { burst: 1000, perSecond: 100 },
  windowUpdates: { burst: 2000, perSecond: 200 },
  headerBytes: { burst: 4 * 1024 * 1024, perSecond: 256 * 1024 },
  earlyResets: { burst: 400, perSecond: 100 },
  provokedResets: { burst: 200, perSecond: 20 },
};

/** No CONNECT that we know of is longer, with all that rides along. */
export const FREE_HEADER_BYTES = 2048;

/** WINDOW_UPDATE frames that each DATA frame of ours earns, and bytes in it that earn one more. */
export const UPDATES_PER_FRAME = 10;
export const BYTES_PER_UPDATE = 1024;

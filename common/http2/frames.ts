/**
 * HTTP/2 frames as they stand on the wire (RFC 9113 sections 4, 6 and 7): names of the numbers, and
 * writers for everything we send.
 *
 * A writer puts one whole frame at an offset and returns its length. Room is the caller's business:
 * no writer writes beyond the length that it returns, and none of them allocates.
 */
export const HEADER_BYTES = 9;
export const LARGEST_WINDOW = 0x7fff_ffff;
export const LARGEST_STREAM_ID = 0x7fff_ffff;
export const INITIAL_WINDOW = 65_535;
export const SMALLEST_MAX_FRAME = 16_384;
export const LARGEST_MAX_FRAME = 16_777_215;

/** What a client sends first (section 3.4). */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;

export const CODE = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const;

const CODE_NAMES = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
];

export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
} as const;

/** Spells an error code as RFC 9113 does; unknown ones as a number. */
export function codeName(code: number): string {
  return CODE_NAMES[code] ?? `0x${code.toString(16)}`;
}

/** Reads 31 bits; the reserved bit is ignored, as section 4.1 asks. */
export function read31(bytes: Uint8Array, at: number): number {
  return read32(bytes, at) & 0x7fff_ffff;
}

export function read32(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16);
  return (high | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0;
}

export function read24(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
}

function write32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export interface FrameHead {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
}

export function writeHead(bytes: Uint8Array, at: number, head: FrameHead): number {
  writeDataHead(bytes, at, head.length, head.stream);
  bytes[at + 3] = head.type;
  bytes[at + 4] = head.flags;
  return HEADER_BYTES;
}

/** The head of a DATA frame without END_STREAM; apart, since it is the one written a million times. */
export function writeDataHead(
  bytes: Uint8Array,
  at: number,
  length: number,
  stream: number,
): number {
  bytes[at] = length >>> 16;
  bytes[at + 1] = length >>> 8;
  bytes[at + 2] = length;
  bytes[at + 3] = FRAME.data;
  bytes[at + 4] = 0;
  write32(bytes, at + 5, stream);
  return HEADER_BYTES;
}

export type Setting = readonly [id: number, value: number];

export function settingsBytes(settings: readonly Setting[]): number {
  return HEADER_BYTES + 6 * settings.length;
}

export function writeSettings(bytes: Uint8Array, at: number, settings: readonly Setting[]): number {
  writeHead(bytes, at, {
    length: 6 * settings.length,
    type: FRAME.settings,
    flags: 0,
    stream: 0,
  });
  for (const [i, [id, value]] of settings.entries()) {
    const place = at + HEADER_BYTES + 6 * i;
    bytes[place] = id >>> 8;
    bytes[place + 1] = id;
    write32(bytes, place + 2, value);
  }
  return settingsBytes(settings);
}

export function writeSettingsAck(bytes: Uint8Array, at: number): number {
  return writeHead(bytes, at, { length: 0, type: FRAME.settings, flags: FLAG.ack, stream: 0 });
}

export const SHORT_FRAME_BYTES = HEADER_BYTES + 4;

export function writeWindowUpdate(
  bytes: Uint8Array,
  at: number,
  stream: number,
  increment: number,
): number {
  writeHead(bytes, at, { length: 4, type: FRAME.windowUpdate, flags: 0, stream });
  write32(bytes, at + HEADER_BYTES, increment);
  return SHORT_FRAME_BYTES;
}

export function writeRstStream(
  bytes: Uint8Array,
  at: number,
  stream: number,
  code: number,
): number {
  writeHead(bytes, at, { length: 4, type: FRAME.rstStream, flags: 0, stream });
  write32(bytes, at + HEADER_BYTES, code);
  return SHORT_FRAME_BYTES;
}

export const PING_BYTES = HEADER_BYTES + 8;

export function writePing(bytes: Uint8Array, at: number, high: number, low: number): number {
  writeHead(bytes, at, { length: 8, type: FRAME.ping, flags: 0, stream: 0 });
  write32(bytes, at + HEADER_BYTES, high);
  write32(bytes, at + HEADER_BYTES + 4, low);
  return PING_BYTES;
}

/** Answers a PING whose eight bytes stand in `from` at `fromAt`. */
export function writePong(bytes: Uint8Array, at: number, from: Uint8Array, fromAt: number): number {
  writePing(bytes, at, read32(from, fromAt), read32(from, fromAt + 4));
  bytes[at + 4] = FLAG.ack;
  return PING_BYTES;
}

export const GOAWAY_BYTES = HEADER_BYTES + 8;

export function writeGoaway(
  bytes: Uint8Array,
  at: number,
  lastStream: number,
  code: number,
): number {
  writeHead(bytes, at, { length: 8, type: FRAME.goaway, flags: 0, stream: 0 });
  write32(bytes, at + HEADER_BYTES, lastStream);
  write32(bytes, at + HEADER_BYTES + 4, code);
  return GOAWAY_BYTES;
}

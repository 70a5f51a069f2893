/**
 * Each flood of HTTP/2 as an attacker with a valid certificate sends it: what opens it, what follows
 * without end, and whether the server must cut the connection for it.
 */
import { connectBlock, frame, literal, PREFACE_TEXT, setting, u32 } from '../helpers/http2-wire.ts';

export interface Flood {
  readonly name: string;
  /** False for what is merely a greedy use, which has to be borne within bounds. */
  readonly isCut: boolean;
  readonly open: (to: Target) => Buffer;
  /** The i-th piece of what is sent for as long as the connection stands; empty for silence. */
  readonly next: (i: number, to: Target) => Buffer;
}

export interface Target {
  /** A port that echoes. */
  readonly echo: string;
  /** A port that sends without end. */
  readonly source: string;
}

const START = Buffer.concat([Buffer.from(PREFACE_TEXT), frame(4, 0, 0)]);
const NOTHING = Buffer.alloc(0);
const CANCEL = u32(8);
const LARGEST = u32(0x7fff_ffff);

const id = (i: number): number => 2 * i + 1;
const start = (): Buffer => START;
const connect = (stream: number, to: string, flags = 4, ...more: readonly Buffer[]): Buffer =>
  frame(1, flags, stream, connectBlock(to, ...more));
const open = ({ echo }: Target): Buffer => Buffer.concat([START, connect(1, echo)]);
/** A long literal that nobody indexes. */
const field = (length: number): Buffer => {
  const value = Buffer.alloc(length, 0x79);
  let rest = length - 127;
  const digits: number[] = [];
  for (; rest >= 128; rest >>= 7) digits.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([0, 1, 0x78, 0x7f, ...digits, rest]), value]);
};

const cut = (name: string, next: Flood['next'], first: Flood['open'] = open): Flood => ({
  name,
  isCut: true,
  open: first,
  next,
});

export const FLOODS: readonly Flood[] = [
  cut(
    'rapid-reset',
    (i, { echo }) => Buffer.concat([connect(id(i), echo), frame(3, 0, id(i), CANCEL)]),
    start,
  ),
  cut(
    'made-you-reset-window-update',
    (i, { echo }) => Buffer.concat([connect(id(i), echo), frame(8, 0, id(i), u32(0))]),
    start,
  ),
  cut(
    'made-you-reset-window-overflow',
    (i, { echo }) => Buffer.concat([connect(id(i), echo), frame(8, 0, id(i), LARGEST)]),
    start,
  ),
  cut(
    'made-you-reset-headers-on-half-closed',
    (i, { echo }) => Buffer.concat([connect(id(i), echo, 5), connect(id(i), echo, 5)]),
    start,
  ),
  cut(
    'made-you-reset-data-on-half-closed',
    (i, { echo }) => Buffer.concat([connect(id(i), echo, 5), frame(0, 0, id(i), [1])]),
    start,
  ),
  cut('made-you-reset-over-limit', (i, { source }) => connect(id(i), source), start),
  cut('malformed-requests', (i) => frame(1, 5, id(i), literal('x', 'y')), start),
  cut(
    'continuation-empty',
    () => frame(9, 0, 3),
    (to) => Buffer.concat([open(to), frame(1, 0, 3)]),
  ),
  cut(
    'continuation-large',
    () => frame(9, 0, 3, Buffer.alloc(16_000, 0x82)),
    (to) => Buffer.concat([open(to), frame(1, 0, 3, Buffer.alloc(16_000, 0x82))]),
  ),
  cut('headers-of-80-kb', (i, { echo }) =>
    connect(id(i + 1), echo, 5, ...Array.from({ length: 5 }, () => field(16_000))),
  ),
  cut('headers-without-end', (i, { echo }) => connect(id(i), echo, 5, field(16_000)), start),
  cut('hpack-bomb', (i, { echo }) => {
    const entry = Buffer.concat([Buffer.from([0x40]), field(4000).subarray(1)]);
    return connect(id(i + 1), echo, 5, entry, Buffer.alloc(4000, 0xbe));
  }),
  cut('table-size-flapping', (i, { echo }) => {
    const sizes = Buffer.from([0x20, 0x3f, 0xe1, 0x1f, 0x20]);
    return frame(1, 5, id(i + 1), Buffer.concat([sizes, connectBlock(echo)]));
  }),
  cut('ping', () => frame(6, 0, 0, Buffer.alloc(8))),
  cut('settings', () => frame(4, 0, 0, setting(4, 65_535))),
  cut('settings-acknowledged-twice', () => frame(4, 1, 0)),
  cut('empty-data', () => frame(0, 0, 1)),
  cut('padding-alone', () => frame(0, 8, 1, [3, 0, 0, 0])),
  cut('priority', (i) => frame(2, 0, id(i % 100), [0, 0, 0, 0, 1])),
  cut('unknown-frames', () => frame(0x99, 0, 0, [1])),
  cut('window-updates', () => frame(8, 0, 0, u32(1))),
  cut('goaway', () => frame(7, 0, 0, Buffer.alloc(8))),
  cut('window-overflow', () => frame(8, 0, 0, LARGEST)),
  cut('setting-overflow', () => frame(4, 0, 0, setting(4, 0x8000_0000))),
  {
    name: 'zero-window-stall',
    isCut: false,
    open: ({ source }) =>
      Buffer.concat([
        Buffer.from(PREFACE_TEXT),
        frame(4, 0, 0, setting(4, 0)),
        ...Array.from({ length: 200 }, (_, i) => connect(id(i), source)),
      ]),
    next: () => NOTHING,
  },
  {
    name: 'tiny-windows',
    isCut: false,
    open: ({ source }) =>
      Buffer.concat([
        Buffer.from(PREFACE_TEXT),
        frame(4, 0, 0, setting(4, 1)),
        ...Array.from({ length: 200 }, (_, i) => connect(id(i), source)),
      ]),
    next: () => NOTHING,
  },
  {
    name: 'connections-without-end',
    isCut: false,
    open: start,
    next: (i, { echo }) => connect(id(i), echo, 5),
  },
];

/**
 * Fuzzes the HTTP/2 codec and HBONE sessions: `node test/fuzz/http2-codec.ts [cases] [seed]`.
 *
 * Each case feeds a session with frames that are mostly well-formed, mutated, and cut anywhere. What
 * must hold: nothing is thrown; a session that dies says so once and is silent afterwards; what it
 * holds is bounded; what it writes are whole frames; 64 KB of input take less than 1 ms on average.
 * Every case depends on its seed alone, so a failure is repeated by `1 SEED`.
 */
import { MeshError } from '../../common/errors.ts';
import { HpackDecoder } from '../../common/http2/hpack-decoder.ts';
import { CONNECTION_HOLD, CONNECTION_WINDOW, MAX_STREAMS } from '../../common/http2/limits.ts';
import type { Stream } from '../../common/hbone/stream.ts';
import {
  MemoryOutlet,
  bench,
  connectBlock,
  frame,
  literal,
  setting,
  u32,
  type Bench,
} from '../helpers/http2-wire.ts';

type Random = (below: number) => number;

/** Mulberry32: small, and the same everywhere. */
function seeded(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

function noise(random: Random, most: number): Buffer {
  const bytes = Buffer.alloc(random(most));
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = random(256);
  return bytes;
}

function block(random: Random): Buffer {
  switch (random(6)) {
    case 0:
      return noise(random, 60);
    case 1:
      return Buffer.concat([Buffer.from([0x88]), literal('baggage', 'a=b')]);
    case 2:
      return Buffer.concat([connectBlock(), noise(random, 12)]);
    case 3:
      return Buffer.concat([Buffer.from([0x20 + random(32)]), connectBlock()]);
    case 4:
      return Buffer.from([0x82, 0x86, 0x84, 0x41, 0x80 + random(8), ...noise(random, 8)]);
    default:
      return connectBlock('[fd00::7]:443', literal('__proto__', 'x'), literal('constructor', 'y'));
  }
}

/** A frame that a good peer could send, more or less. */
function goodFrame(random: Random, role: 'client' | 'server', newest: { id: number }): Buffer {
  const stream = Math.max(1, newest.id - 2 * random(4));
  switch (random(10)) {
    case 0:
    case 1:
      if (role === 'client') return frame(1, 4 | random(2), stream, Buffer.from([0x88]));
      newest.id += 2;
      return frame(1, 4 | Number(random(6) === 0), newest.id, connectBlock());
    case 2:
      return frame(4, 0, 0, setting(3 + random(3), 16_384 + random(100_000)));
    case 3:
      return frame(8, 0, random(2) * stream, u32(1 + random(100_000)));
    case 4:
      return frame(3, 0, stream, u32(random(16)));
    case 5:
      return frame(6, random(2), 0, Buffer.alloc(8, random(256)));
    case 6:
      return frame(0xa0, 0, stream, noise(random, 20));
    default:
      return frame(0, Number(random(8) === 0), stream, noise(random, 200));
  }
}

function anyFrame(random: Random): Buffer {
  const stream = random(8) === 0 ? random(0x7fff_ffff) : random(12);
  const flags = random(3) === 0 ? random(256) : ([0, 1, 4, 5][random(4)] ?? 0);
  switch (random(12)) {
    case 0:
    case 1:
    case 2:
      return frame(1, flags | 4, stream | 1, block(random));
    case 3:
    case 4:
      return frame(0, flags & 9, stream | 1, noise(random, 200));
    case 5:
      return frame(
        4,
        0,
        0,
        setting(random(9), random(2) === 0 ? random(100_000) : random(2 ** 32)),
      );
    case 6:
      return frame(8, 0, stream, u32(random(2) === 0 ? random(1000) : random(2 ** 32)));
    case 7:
      return frame(3, 0, stream, u32(random(16)));
    case 8:
      return frame(9, flags, stream, block(random));
    case 9:
      return frame(6, random(2), 0, Buffer.alloc(8, random(256)));
    case 10:
      return frame(7, 0, 0, Buffer.concat([u32(random(20)), u32(random(14)), noise(random, 10)]));
    default:
      return frame(random(256), random(256), stream, noise(random, 40));
  }
}

/** Users of streams that do at random what users may do. */
function use(random: Random, stream: Stream): void {
  switch (random(5)) {
    case 0:
      stream.sendEnd();
      break;
    case 1:
      stream.reset(random(14));
      break;
    case 2:
      stream.consumed(Math.min(stream.unconsumed, random(300)));
      break;
    default: {
      const room = Math.min(stream.sendRoom(), random(2000));
      stream.beginData(room);
      stream.endData(room, random(8) === 0);
    }
  }
}

/** What a case did: bytes fed, and whether its session died of them. */
export interface Outcome {
  readonly bytes: number;
  readonly died: boolean;
}

const outlet = new MemoryOutlet();

/** Runs one case with a session. */
export function runCase(seed: number): Outcome {
  outlet.take();
  const random = seeded(seed);
  const streams: Stream[] = [];
  const role = random(3) === 0 ? 'client' : 'server';
  const owned = (stream: Stream): void => {
    streams.push(stream);
    stream.owner = {
      onResponse: () => undefined,
      onData: (bytes, from, to) => {
        if (from < 0 || to > bytes.length || from > to) throw new RangeError('bad bounds');
        if (random(2) === 0) stream.consumed(to - from);
        if (random(20) === 0) stream.reset(8);
      },
      onEnd: () => use(random, stream),
      onReset: () => undefined,
      onSendRoom: () => use(random, stream),
      onLost: () => undefined,
    };
  };
  const tested = bench(role, {
    outlet,
    silent: random(20) === 0,
    onRequest: (stream) => {
      owned(stream);
      if (random(8) > 0) stream.respond(random(4) === 0 ? 503 : 200);
    },
  });
  if (role === 'client' && tested.session.canOpen()) {
    for (let i = random(8); i >= 0; i -= 1) owned(tested.session.open({ authority: 'a:1' }));
  }
  const bytes = feedAll(random, tested, streams, role);
  check(tested);
  return { bytes, died: tested.errors.length > 0 };
}

function feedAll(
  random: Random,
  tested: Bench,
  streams: readonly Stream[],
  role: 'client' | 'server',
): number {
  // Two cases in three are good but for the order of things: the rest would die at once.
  const wild = random(3) === 0 ? 3 : 40;
  const newest = { id: role === 'client' ? 2 * streams.length - 1 : 1 };
  const frames = Array.from({ length: 1 + random(16) }, () =>
    random(wild) === 0 ? anyFrame(random) : goodFrame(random, role, newest),
  );
  if (role === 'server') frames.unshift(frame(1, 4, 1, connectBlock()));
  const bytes = Buffer.concat(frames);
  if (random(10) === 0) {
    bytes[random(bytes.length)] = random(256);
  }
  for (let at = 0; at < bytes.length;) {
    const to = Math.min(bytes.length, at + 1 + (random(2) === 0 ? random(12) : random(400)));
    tested.session.receive(bytes, at, to);
    at = to;
    const stream = streams[random(streams.length + 1)];
    if (stream !== undefined) use(random, stream);
  }
  tested.clock.now += random(30_000);
  tested.session.onTimer(tested.clock.now);
  return bytes.length;
}

function check({ session, errors, feed }: Bench): void {
  const written = outlet.take();
  const start = written.toString('latin1', 0, 3) === 'PRI' ? 24 : 0;
  let at = start;
  while (at < written.length) at += 9 + written.readUIntBE(at, 3);
  must(at === written.length, 'it wrote part of a frame');
  must(errors.length <= 1, 'it died twice');
  must(errors.length === 0 || session.closed, 'it said that it died, and lives');
  must(session.streams <= MAX_STREAMS, 'too many streams');
  must(session.unconsumed >= 0, 'more was consumed than received');
  must(session.unconsumed <= CONNECTION_HOLD + CONNECTION_WINDOW, 'it holds too much');
  if (!session.closed) return;
  feed(frame(6, 0, 0, Buffer.alloc(8)));
  must(outlet.take().length === 0, 'it spoke after its death');
  must(session.streams === 0, 'it is dead and has streams');
}

/** HPACK by itself: any bytes are a list or a fault, and no list is longer than its limit. */
export function runHpackCase(seed: number): Outcome {
  const random = seeded(seed);
  const decoder = new HpackDecoder(16_384);
  let fed = 0;
  for (let i = 0; i < 3; i += 1) {
    const bytes =
      random(2) === 0 ? noise(random, 300) : Buffer.concat([block(random), block(random)]);
    fed += bytes.length;
    try {
      const headers = decoder.decode(bytes, 0, bytes.length);
      const size = headers.reduce((sum, { name, value }) => sum + name.length + value.length, 0);
      must(size <= 16_384, 'its list is too long');
    } catch (error) {
      if (!(error instanceof MeshError) || error.code !== 'HTTP2_PROTOCOL_ERROR') throw error;
      return { bytes: fed, died: true };
    }
  }
  return { bytes: fed, died: false };
}

/** Runs cases from a seed on; throws with the seed of the first that fails. */
export function fuzz(cases: number, firstSeed: number): { bytes: number; died: number } {
  let bytes = 0;
  let died = 0;
  for (let seed = firstSeed; seed < firstSeed + cases; seed += 1) {
    try {
      const outcome = seed % 4 === 0 ? runHpackCase(seed) : runCase(seed);
      bytes += outcome.bytes;
      died += Number(outcome.died);
    } catch (cause) {
      throw new Error(`case ${seed} failed: ${String(cause)}`, { cause });
    }
  }
  return { bytes, died };
}

/** Inputs of 64 KB that cost as much as they can; each is fed to a session of its own. */
export const COSTLY: Readonly<Record<string, Buffer>> = {
  'tiny DATA': repeat(frame(0, 0, 1, [1])),
  'one byte of DATA in padding': repeat(frame(0, 8, 1, [1, 1, 0])),
  'requests, each reset': Buffer.concat(
    Array.from({ length: 900 }, (_, i) =>
      Buffer.concat([frame(1, 4, 2 * i + 3, connectBlock()), frame(3, 0, 2 * i + 3, u32(8))]),
    ),
  ),
  'one header block in Huffman code': frame(
    1,
    4,
    3,
    Buffer.concat([Buffer.from([0, 1, 0x78, 0xff, 0x80, 0xfe, 0x03]), Buffer.alloc(65_407, 0x18)]),
  ),
  'one header block of small fields': frame(
    1,
    4,
    3,
    repeat(Buffer.from([0x83])).subarray(0, 65_000),
  ),
};

/** How many milliseconds a session takes for 64 KB of one of them; the best of several. */
export function costOf(input: Buffer): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 20; i += 1) {
    outlet.take();
    const tested = bench('server', { outlet, onRequest: (stream) => stream.respond(200) });
    tested.feed(frame(1, 4, 1, connectBlock()));
    const started = performance.now();
    tested.session.receive(input, 0, input.length);
    best = Math.min(best, ((performance.now() - started) * 65_536) / input.length);
  }
  return best;
}

function repeat(bytes: Buffer): Buffer {
  const count = Math.floor(65_536 / bytes.length);
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}

function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

if (import.meta.main) {
  const cases = Number(process.argv[2] ?? 1_000_000);
  const { bytes, died } = fuzz(cases, Number(process.argv[3] ?? 1));
  console.log(`${cases} cases, ${bytes} bytes, ${died} ended by a fault, none failed`);
  for (const [name, input] of Object.entries(COSTLY)) {
    console.log(`${name}: ${costOf(input).toFixed(3)} ms per 64 KB`);
  }
}

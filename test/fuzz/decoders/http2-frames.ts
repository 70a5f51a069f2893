/**
 * HTTP/2 sessions: frames that are mostly well-formed, damaged, and cut anywhere, and users of
 * streams that do at random what users may do.
 *
 * What must hold: a session that dies says so once and is silent afterwards; what it holds is bounded;
 * what it writes are whole frames. The first four bytes of an input are the seed of everything but
 * the frames: the role, the cuts, the users.
 */
import { CONNECTION_HOLD, CONNECTION_WINDOW, MAX_STREAMS } from '../../../common/http2/limits.ts';
import type { Stream } from '../../../common/hbone/stream.ts';
import {
  MemoryOutlet,
  bench,
  connectBlock,
  frame,
  literal,
  setting,
  u32,
  type Bench,
} from '../../helpers/http2-wire.ts';
import { kindOf, must, type Decoder } from '../decoder.ts';
import { mutateBytes } from '../mutate.ts';
import { noise, seeded, type Random } from '../random.ts';

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

const outlet = new MemoryOutlet();
/** The seed of a session that is a server, hears all in one piece, and whose users are quiet. */
const PLAIN = 0;
const SEED_BYTES = 4;

function run(input: Buffer): string {
  outlet.take();
  const seed = input.length < SEED_BYTES ? PLAIN : input.readUInt32BE();
  const random = seeded(seed);
  const isPlain = seed === PLAIN;
  const streams: Stream[] = [];
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
  const role = roleOf(seed);
  const tested = bench(role, {
    outlet,
    silent: !isPlain && random(20) === 0,
    onRequest: (stream) => {
      if (!isPlain) owned(stream);
      if (isPlain || random(8) > 0) stream.respond(!isPlain && random(4) === 0 ? 503 : 200);
    },
  });
  if (role === 'client' && tested.session.canOpen()) {
    for (let i = random(8); i >= 0; i -= 1) owned(tested.session.open({ authority: 'a:1' }));
  }
  const bytes = input.subarray(SEED_BYTES);
  for (let at = 0; at < bytes.length;) {
    const step = random(2) === 0 ? random(12) : random(400);
    const to = isPlain ? bytes.length : Math.min(bytes.length, at + 1 + step);
    tested.session.receive(bytes, at, to);
    at = to;
    const stream = streams[random(streams.length + 1)];
    if (stream !== undefined) use(random, stream);
  }
  tested.clock.now += random(30_000);
  tested.session.onTimer(tested.clock.now);
  check(tested);
  const [error] = tested.errors;
  return error === undefined ? 'read' : kindOf(error.message);
}

const roleOf = (seed: number): 'client' | 'server' =>
  seed !== PLAIN && seed % 3 === 0 ? 'client' : 'server';

/** Mostly a fresh conversation; else one that is there already, with its bytes damaged. */
function mutate(random: Random, from: Buffer, other: Buffer): Buffer {
  if (random(3) === 0) return mutateBytes(random, from, other);
  const seed = 1 + random(2 ** 32 - 1);
  const role = roleOf(seed);
  // Two cases in three are good but for the order of things: the rest would die at once.
  const wild = random(3) === 0 ? 3 : 40;
  const newest = { id: role === 'client' ? 2 * random(8) + 1 : 1 };
  const frames = Array.from({ length: 1 + random(16) }, () =>
    random(wild) === 0 ? anyFrame(random) : goodFrame(random, role, newest),
  );
  if (role === 'server') frames.unshift(frame(1, 4, 1, connectBlock()));
  const bytes = Buffer.concat([u32(seed), ...frames]);
  if (random(10) === 0) bytes[SEED_BYTES + random(bytes.length - SEED_BYTES)] = random(256);
  return bytes;
}

function check({ session, errors, feed }: Bench): void {
  const written = outlet.take();
  let at = written.toString('latin1', 0, 3) === 'PRI' ? 24 : 0;
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

const plain = (...frames: readonly Buffer[]): Buffer => Buffer.concat([u32(PLAIN), ...frames]);
const OPEN = frame(1, 4, 1, connectBlock());

export const http2Frames: Decoder = {
  name: 'http2-frames',
  seeds: [
    plain(OPEN),
    plain(OPEN, frame(0, 0, 1, Buffer.from('hello')), frame(0, 1, 1)),
    plain(
      frame(4, 0, 0, setting(4, 100_000)),
      OPEN,
      frame(8, 0, 1, u32(1000)),
      frame(3, 0, 1, u32(8)),
    ),
    plain(OPEN, frame(6, 0, 0, Buffer.alloc(8)), frame(7, 0, 0, Buffer.alloc(8))),
  ],
  mutate,
  run,
  costly: {
    'tiny DATA': plain(OPEN, repeat(frame(0, 0, 1, [1]))),
    'one byte of DATA in padding': plain(OPEN, repeat(frame(0, 8, 1, [1, 1, 0]))),
    'requests, each reset': plain(
      OPEN,
      ...Array.from({ length: 900 }, (_, i) =>
        Buffer.concat([frame(1, 4, 2 * i + 3, connectBlock()), frame(3, 0, 2 * i + 3, u32(8))]),
      ),
    ),
    'one header block in Huffman code': plain(
      OPEN,
      frame(
        1,
        4,
        3,
        Buffer.concat([
          Buffer.from([0, 1, 0x78, 0xff, 0x80, 0xfe, 0x03]),
          Buffer.alloc(65_407, 0x18),
        ]),
      ),
    ),
    'one header block of small fields': plain(OPEN, frame(1, 4, 3, Buffer.alloc(65_000, 0x83))),
  },
};

function repeat(bytes: Buffer): Buffer {
  const count = Math.floor(65_536 / bytes.length);
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}

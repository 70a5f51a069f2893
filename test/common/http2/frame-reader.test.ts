import { test } from 'tap';
import { FrameReader, type FrameSink } from '../../../common/http2/frame-reader.ts';
import { MAX_FRAME } from '../../../common/http2/limits.ts';
import { frame, PREFACE_TEXT } from '../../helpers/http2-wire.ts';

/** Writes down what a reader says; adjoining pieces of DATA are joined. */
function record(): { sink: FrameSink; said: string[]; inPlace: Set<Buffer> } {
  const said: string[] = [];
  const inPlace = new Set<Buffer>();
  let data = '';
  const sink: FrameSink = {
    onDataFrame: (stream, length, flags) => void said.push(`data ${stream} ${length} ${flags}`),
    onDataBytes: (bytes, from, to) => {
      inPlace.add(bytes);
      data += bytes.toString('latin1', from, to);
    },
    onDataDone: (padding) => {
      said.push(`"${data}" ${padding}`);
      data = '';
    },
    onFrame: ({ type, flags, stream }, bytes, from, to) => {
      said.push(`${type} ${flags} ${stream} ${bytes.toString('hex', from, to)}`);
    },
    onUnknownFrame: (type) => void said.push(`unknown ${type}`),
  };
  return { sink, said, inPlace };
}

const WIRE = Buffer.concat([
  Buffer.from(PREFACE_TEXT),
  frame(4, 0, 0, [0, 3, 0, 0, 0, 100]),
  frame(0, 0, 1, Buffer.from('hello')),
  frame(0, 8, 1, Buffer.from('\x03abc\0\0\0', 'latin1')),
  frame(0, 9, 1, Buffer.from('\x02\0\0', 'latin1')),
  frame(0, 8, 5, [0]),
  frame(0, 1, 3),
  frame(0x42, 0, 0, Buffer.from('skipped')),
  frame(0x43, 0, 0),
  frame(6, 1, 0, [1, 2, 3, 4, 5, 6, 7, 8]),
  frame(8, 0, 0x8000_0005, [0, 0, 0, 1]),
]);
const SAID = [
  '4 0 0 000300000064',
  'data 1 5 0',
  '"hello" 0',
  'data 1 7 8',
  '"abc" 4',
  'data 1 3 9',
  '"" 3',
  'data 5 1 8',
  '"" 1',
  'data 3 0 1',
  '"" 0',
  'unknown 66',
  'unknown 67',
  '6 1 0 0102030405060708',
  '8 0 5 00000001',
];

test('FrameReader says the same wherever the bytes are cut', async (t) => {
  for (let size = 1; size <= WIRE.length; size += 1) {
    const { sink, said } = record();
    const reader = new FrameReader(sink, { expectPreface: true });
    for (let at = 0; at < WIRE.length; at += size) {
      reader.receive(WIRE, at, Math.min(at + size, WIRE.length));
    }
    if (said.join() !== SAID.join()) t.strictSame(said, SAID, `pieces of ${size}`);
  }
  t.pass(`${WIRE.length} ways to cut`);
});

test('FrameReader hands on DATA where it stands', async (t) => {
  const { sink, inPlace } = record();
  const reader = new FrameReader(sink, { expectPreface: true });
  reader.receive(WIRE, 0, WIRE.length);
  t.strictSame(
    Array.from(inPlace).every((bytes) => bytes === WIRE),
    true,
  );
});

test('FrameReader refuses a frame by its head, before any of its bytes have come', async (t) => {
  const head = (length: number, type: number, flags = 0, stream = 1): Buffer => {
    const bytes = frame(type, flags, stream);
    bytes.writeUIntBE(length, 0, 3);
    return bytes;
  };
  const rows: readonly [Buffer, string][] = [
    [head(MAX_FRAME + 1, 0), 'FRAME_SIZE_ERROR'],
    [head(MAX_FRAME + 1, 0x77), 'FRAME_SIZE_ERROR'],
    [head(66_000, 1), 'ENHANCE_YOUR_CALM'],
    [head(66_000, 9), 'ENHANCE_YOUR_CALM'],
    [head(16_390, 4, 0, 0), 'ENHANCE_YOUR_CALM'],
    [head(0, 0, 8), 'FRAME_SIZE_ERROR'],
    [head(4, 0, 0, 0), 'PROTOCOL_ERROR'],
    [Buffer.concat([head(3, 0, 8), Buffer.from([3])]), 'PROTOCOL_ERROR'],
  ];
  for (const [bytes, http2Error] of rows) {
    const { sink } = record();
    const reader = new FrameReader(sink, { expectPreface: false });
    t.throws(() => reader.receive(bytes, 0, bytes.length), {
      code: 'HTTP2_PROTOCOL_ERROR',
      details: { http2Error },
    });
  }
});

test('FrameReader refuses a client that speaks anything but HTTP/2', async (t) => {
  const { sink, said } = record();
  const reader = new FrameReader(sink, { expectPreface: true });
  const bytes = Buffer.from('GET / HTTP/1.1\r\n\r\n');
  t.throws(() => reader.receive(bytes, 0, bytes.length), { code: 'HTTP2_PROTOCOL_ERROR' });
  reader.receive(WIRE, 0, WIRE.length);
  t.strictSame(said, []);
});

test('FrameReader.stop() is the last that is heard, even from within', async (t) => {
  const { sink, said } = record();
  const reader = new FrameReader(
    { ...sink, onDataBytes: () => reader.stop() },
    { expectPreface: true },
  );
  reader.receive(WIRE, 0, WIRE.length);
  t.strictSame(said, ['4 0 0 000300000064', 'data 1 5 0']);
});

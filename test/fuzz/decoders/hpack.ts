/**
 * HPACK by itself: any bytes are a header list or a fault, and no list is longer than its limit.
 *
 * An input is several blocks for one decoder, each behind its length in two bytes.
 */
import { isFieldName, isFieldText } from '../../../common/http1/writer.ts';
import { HpackDecoder } from '../../../common/http2/hpack-decoder.ts';
import { readHttpMessage, type MessageKind } from '../../../common/http2/http-message.ts';
import type { Header } from '../../../common/http2/static-table.ts';
import { literal } from '../../helpers/http2-wire.ts';
import { must, outcomeOf, type Decoder } from '../decoder.ts';
import { mutateBytes } from '../mutate.ts';
import { noise, pick, type Random } from '../random.ts';

const MOST_LIST = 16_384;

const block = (bytes: Buffer): Buffer => {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(bytes.length);
  return Buffer.concat([head, bytes]);
};

function* blocksIn(input: Buffer): Generator<Buffer> {
  for (let at = 0; at + 2 <= input.length;) {
    const end = at + 2 + input.readUInt16BE(at);
    yield input.subarray(at + 2, end);
    at = end;
  }
}

/** What passes as a message of HTTP can be written as HTTP/1.1 and ends where it should. */
function judge(headers: readonly Header[], kind: MessageKind): void {
  const message = readHttpMessage(headers, kind);
  if (typeof message === 'string') return;
  const { authority, path, method, first } = message;
  for (const { name, value } of headers.slice(first)) {
    must(isFieldName(name) && name === name.toLowerCase(), 'a bad name passes');
    must(isFieldText(value), 'a bad value passes');
  }
  must(!/[^!-~]/.test(`${method}${authority}${path}`), 'a bad start line passes');
}

const KINDS = ['request', 'response', 'trailers'] as const;

function run(input: Buffer): string {
  const decoder = new HpackDecoder(MOST_LIST);
  return outcomeOf(['HTTP2_PROTOCOL_ERROR'], () => {
    for (const bytes of blocksIn(input)) {
      const headers = decoder.decode(bytes, 0, bytes.length);
      const size = headers.reduce((sum, { name, value }) => sum + name.length + value.length, 0);
      must(size <= MOST_LIST, 'its list is too long');
      for (const kind of KINDS) judge(headers, kind);
    }
    return 'read';
  });
}

const EXAMPLES = [
  Buffer.from([
    0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4,
    0xff,
  ]),
  Buffer.concat([Buffer.from([0x40, 3]), Buffer.from('x-a'), Buffer.from([2]), Buffer.from('bc')]),
  Buffer.from([0x88]),
  literal('baggage', 'k8s.cluster.name=a,k8s.namespace.name=b'),
  literal(':authority', '[fd00::7]:443'),
  Buffer.concat([
    literal(':method', 'POST'),
    literal(':scheme', 'http'),
    literal(':authority', 'a'),
    literal(':path', '/'),
    literal('content-length', '3'),
  ]),
];
const FIRST_BYTES = [0x00, 0x10, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xbe, 0xff];

function mutate(random: Random, from: Buffer, other: Buffer): Buffer {
  const blocks = [...blocksIn(from)];
  const at = random(blocks.length + 1);
  switch (random(4)) {
    case 0:
      return mutateBytes(random, from, other);
    case 1:
      blocks.splice(at, 0, Buffer.from([pick(random, FIRST_BYTES), ...noise(random, 30)]));
      break;
    case 2:
      blocks.splice(at, 0, ...Array.from({ length: random(4) }, () => pick(random, EXAMPLES)));
      break;
    default:
      if (blocks[at] !== undefined) blocks[at] = mutateBytes(random, blocks[at], other);
  }
  return Buffer.concat(blocks.map((one) => block(one.subarray(0, 65_535))));
}

export const hpack: Decoder = {
  name: 'hpack',
  seeds: [
    ...EXAMPLES.map(block),
    Buffer.concat([block(EXAMPLES[1] ?? Buffer.alloc(0)), block(Buffer.from([0xbe]))]),
    block(Buffer.from([0x20, 0x82])),
  ],
  mutate,
  run,
  costly: {
    'small fields': block(Buffer.alloc(65_000, 0x83)),
    'one name in Huffman code': block(
      Buffer.concat([
        Buffer.from([0, 1, 0x78, 0xff, 0x80, 0xfe, 0x03]),
        Buffer.alloc(65_407, 0x18),
      ]),
    ),
    'entries added and thrown out': block(
      Buffer.concat(
        Array.from({ length: 9000 }, () => Buffer.from([0x40, 2, 0x78, 0x79, 2, 1, 2])),
      ),
    ),
  },
};

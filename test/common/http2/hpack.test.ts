import { test } from 'tap';
import { MeshError } from '../../../common/errors.ts';
import { HpackDecoder } from '../../../common/http2/hpack-decoder.ts';
import { HpackEncoder, isSendable } from '../../../common/http2/hpack-encoder.ts';
import { decodeHuffman } from '../../../common/http2/huffman.ts';

function decode(decoder: HpackDecoder, hex: string): string[] {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  return decoder.decode(bytes, 0, bytes.length).map(({ name, value }) => `${name}: ${value}`);
}

function codeOf(hex: string, decoder = new HpackDecoder(65_536)): string {
  try {
    decode(decoder, hex);
  } catch (error) {
    if (error instanceof MeshError) return String(error.details['http2Error']);
    throw error;
  }
  return 'none';
}

const FIRST = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'];
const THIRD = [
  ':method: GET',
  ':scheme: https',
  ':path: /index.html',
  ':authority: www.example.com',
  'custom-key: custom-value',
];

test('HpackDecoder.decode() reads the requests of RFC 7541 C.3, which share a table', async (t) => {
  const decoder = new HpackDecoder(65_536);
  t.strictSame(decode(decoder, '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d'), FIRST);
  t.strictSame(decode(decoder, '8286 84be 5808 6e6f 2d63 6163 6865'), [
    ...FIRST,
    'cache-control: no-cache',
  ]);
  t.strictSame(
    decode(decoder, '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65'),
    THIRD,
  );
});

test('HpackDecoder.decode() reads the same requests in Huffman code, RFC 7541 C.4', async (t) => {
  const decoder = new HpackDecoder(65_536);
  t.strictSame(decode(decoder, '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff'), FIRST);
  t.strictSame(decode(decoder, '8286 84be 5886 a8eb 1064 9cbf'), [
    ...FIRST,
    'cache-control: no-cache',
  ]);
  t.strictSame(
    decode(decoder, '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf'),
    THIRD,
  );
});

test('HpackDecoder.decode() evicts as RFC 7541 C.6 does, in a table of 256 bytes', async (t) => {
  const decoder = new HpackDecoder(65_536);
  decode(decoder, '3fe1 01'); // size update to 256
  const common = [
    'cache-control: private',
    'date: Mon, 21 Oct 2013 20:13:21 GMT',
    'location: https://www.example.com',
  ];
  t.strictSame(
    decode(
      decoder,
      `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
       2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`.replaceAll(/\s/g, ''),
    ),
    [':status: 302', ...common],
  );
  t.strictSame(decode(decoder, '4883 640e ffc1 c0bf'), [':status: 307', ...common]);
  t.strictSame(
    decode(
      decoder,
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
       77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
       9587 3160 65c0 03ed 4ee5 b106 3d50 07`.replaceAll(/\s/g, ''),
    ),
    [
      ':status: 200',
      'cache-control: private',
      'date: Mon, 21 Oct 2013 20:13:22 GMT',
      'location: https://www.example.com',
      'content-encoding: gzip',
      'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
    ],
  );
});

test('HpackDecoder.decode() refuses what is no header block', async (t) => {
  const rows: readonly [string, string][] = [
    ['80', 'index 0'],
    ['be', 'index beyond both tables'],
    ['40', 'a literal without its name'],
    ['400161', 'a literal without its value'],
    ['4003 6162', 'a string beyond the end'],
    ['40ff ffff ff', 'a length without end'],
    ['bfff ffff ffff ffff 7f', 'an integer of more than 31 bits'],
    ['ff80 8080 8080 8080 8000', 'an integer in ever more bytes'],
    ['82 20', 'a size update after a header'],
    ['20 20 20 82', 'three size updates'],
    ['3fe2 1f', 'a table of 4097 bytes'],
    ['0081 ff 00', 'eight bits of padding in Huffman code'],
    ['0081 00 00', 'padding of zeros in Huffman code'],
    ['0084 ffff fffc 00', 'EOS in Huffman code'],
  ];
  for (const [hex, what] of rows) t.equal(codeOf(hex), 'COMPRESSION_ERROR', what);
});

test('HpackDecoder.decode() stops at the size of the list, however small the block', async (t) => {
  const decoder = new HpackDecoder(16_384);
  const value = '61'.repeat(3000);
  decode(decoder, `40 01 62 7f b9 16 ${value}`); // one entry of 3000 bytes
  t.equal(codeOf('be'.repeat(5), decoder), 'none');
  t.equal(codeOf('be'.repeat(6), decoder), 'ENHANCE_YOUR_CALM');
});

test('HpackDecoder.limitTable() leaves nothing to refer to, whatever the peer indexes', async (t) => {
  const decoder = new HpackDecoder(16_384);
  decode(decoder, '4001 6101 62');
  t.strictSame(decode(decoder, 'be'), ['a: b']);
  decoder.limitTable(0);
  t.strictSame(decode(decoder, '4001 6101 63'), ['a: c']);
  t.equal(codeOf('be', decoder), 'COMPRESSION_ERROR');
  t.equal(codeOf('21 82', decoder), 'COMPRESSION_ERROR');
  t.equal(codeOf('20 82', decoder), 'none');
});

test('decodeHuffman() knows symbols of every length, RFC 7541 appendix B', async (t) => {
  // Code, its bits, symbol: the first and last of several lengths.
  const rows: readonly [number, number, number][] = [
    [0x0, 5, 48],
    [0x9, 5, 116],
    [0x14, 6, 32],
    [0x2d, 6, 117],
    [0x5c, 7, 58],
    [0xfd, 8, 90],
    [0x3f8, 10, 33],
    [0x7fc, 11, 124],
    [0xffb, 12, 62],
    [0x1ff8, 13, 0],
    [0x3ffd, 14, 125],
    [0x7ffc, 15, 60],
    [0x7fff0, 19, 92],
    [0xfffe6, 20, 128],
    [0x1fffdc, 21, 153],
    [0x3fffd2, 22, 129],
    [0x7fffd8, 23, 1],
    [0xffffea, 24, 9],
    [0x1ffffec, 25, 199],
    [0x3ffffe0, 26, 192],
    [0x3ffffee, 26, 255],
    [0x7ffffde, 27, 203],
    [0xfffffe2, 28, 2],
    [0xffffffe, 28, 249],
    [0x3ffffffc, 30, 10],
    [0x3ffffffe, 30, 22],
  ];
  const into = Buffer.alloc(16);
  for (const [code, bits, symbol] of rows) {
    const padded = code
      .toString(2)
      .padStart(bits, '0')
      .padEnd(Math.ceil(bits / 8) * 8, '1');
    const bytes = Buffer.from(
      (padded.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)),
    );
    t.equal(decodeHuffman(bytes, 0, bytes.length, into), 1, `symbol ${symbol}`);
    t.equal(into[0], symbol);
  }
});

test('HpackEncoder writes blocks that the decoder reads back, of any length', async (t) => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder(65_536);
  const bytes = Buffer.alloc(40_000);
  for (const length of [1, 126, 127, 128, 254, 255, 300, 16_000]) {
    encoder.begin(bytes, 7);
    encoder.method('CONNECT');
    encoder.authority('a:1');
    encoder.field('baggage', 'x'.repeat(length));
    const headers = decoder.decode(bytes, 7, encoder.end());
    t.strictSame(
      headers.map(({ name, value }) => [name, value]),
      [
        [':method', 'CONNECT'],
        [':authority', 'a:1'],
        ['baggage', 'x'.repeat(length)],
      ],
    );
  }
});

test('HpackEncoder takes names and whole entries from the static table', async (t) => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder(65_536);
  const bytes = Buffer.alloc(1000);
  const fields: readonly (readonly [string, string])[] = [
    ['accept-charset', 'x'],
    ['www-authenticate', 'y'],
    ['content-type', 'application/grpc'],
    ['x-own', ''],
  ];
  for (const [method, path, scheme] of [
    ['GET', '/', 'http'],
    ['POST', '/a?b', 'https'],
    ['PURGE', '*', 'http'],
  ] as const) {
    encoder.begin(bytes, 0);
    encoder.method(method);
    encoder.scheme(scheme);
    encoder.path(path);
    for (const [name, value] of fields) encoder.named(name, value);
    const read = decoder.decode(bytes, 0, encoder.end());
    t.strictSame(
      read.map(({ name, value }) => [name, value]),
      [[':method', method], [':scheme', scheme], [':path', path], ...fields],
    );
  }
});

test('HpackEncoder says that its table is empty, once after each word of the peer', async (t) => {
  const encoder = new HpackEncoder();
  const bytes = Buffer.alloc(16);
  const block = (status: number): string => {
    encoder.begin(bytes, 0);
    encoder.status(status);
    return bytes.subarray(0, encoder.end()).toString('hex');
  };
  t.equal(block(200), '2088');
  t.equal(block(200), '88');
  t.equal(block(401), '0803343031');
  encoder.tableLimited();
  t.equal(block(503), '200803353033');
});

test('isSendable() takes only what every receiver takes', async (t) => {
  for (const good of ['a', 'a b', 'for="[fd00::1]:80"']) t.equal(isSendable(good), true, good);
  for (const bad of ['', ' a', 'a ', 'a\r\nb', 'a\0', 'é']) t.equal(isSendable(bad), false, bad);
});

/** What a reader makes of records, and everything that a peer with valid keys may not do. */
import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import type { Test } from 'tap';
import { TlsViolation } from '#common/engine/tls-alerts.ts';
import { MAX_RECORDS_WITHOUT_DATA, TlsReader } from '#common/engine/tls-reader.ts';
import type { RecordSink } from '#common/engine/tls-reader.ts';
import { recordKeys } from '#common/engine/tls-secrets.ts';
import { TlsSlabs } from '#common/engine/tls-slabs.ts';
import { RecordCipher } from '#common/sys/record-cipher.ts';
import { newSlab } from '#common/sys/slab.ts';
import { makeLoop } from '../../helpers/engine.ts';

/** A reader, and a writer that breaks rules a real peer keeps. */
function setUp(t: Test, role: 'client' | 'server' = 'client') {
  const loop = makeLoop(t);
  const slabs = new TlsSlabs(loop);
  const secret = randomBytes(32);
  const told: (string | number | boolean)[][] = [];
  const sink: RecordSink = {
    onPlain: (bytes, from, to) => told.push(['plain', bytes.toString('latin1', from, to)]),
    onAlert: (level, alert) => told.push(['alert', level, alert]),
    onKeyUpdate: (requested) => told.push(['key update', requested]),
  };
  const reader = new TlsReader({ role, suite: 'aes-128-gcm', secret, sequence: 0, sink });
  const { key, iv } = recordKeys('aes-128-gcm', secret);
  const cipher = new RecordCipher('seal', key, iv);
  t.after(() => reader.free());
  t.after(() => cipher.free());
  let end = 0;
  const put = (type: number, content: string | Buffer, padding = 0): void => {
    const bytes = Buffer.from(content);
    const slab = newSlab(bytes.length + 1 + padding);
    slab.bytes.fill(0);
    bytes.copy(slab.bytes);
    slab.bytes[bytes.length] = type;
    const length = slab.bytes.length;
    slabs.wireIn.bytes.set([23, 3, 3, (length + 16) >> 8, (length + 16) & 0xff], end);
    end += cipher.seal(slab, 0, length, slabs.wireIn, end);
  };
  const read = (): number => {
    const rest = reader.consume(slabs.wireIn, 0, end, slabs.plain);
    const left = end - rest;
    end = 0;
    return left;
  };
  return { put, read, told, wire: slabs.wireIn.bytes, length: () => end };
}

const alertOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof TlsViolation) return String(error.details['alert']);
    throw error;
  }
  return 'none';
};

test('TlsReader.consume() hands on records as one piece, padding taken off', async (t) => {
  const { put, read, told } = setUp(t);
  put(23, 'one ');
  put(23, 'two ', 300);
  put(23, '');
  put(23, 'three');
  t.equal(read(), 0);
  t.strictSame(told, [['plain', 'one two three']]);
});

test('TlsReader.consume() keeps order between data, KeyUpdate and alerts', async (t) => {
  const { put, read, told } = setUp(t);
  put(23, 'before');
  put(21, Buffer.from([1, 90]));
  put(23, 'between');
  put(21, Buffer.from([1, 0]));
  read();
  t.strictSame(told, [
    ['plain', 'before'],
    ['alert', 1, 90],
    ['plain', 'between'],
    ['alert', 1, 0],
  ]);
});

test('TlsReader.consume() leaves an incomplete record where it is', async (t) => {
  const { put, read, told, length } = setUp(t);
  put(23, 'whole');
  const first = length();
  put(23, 'never read');
  const cut = length() - first - 1;
  const again = setUp(t);
  t.ok(cut > 0);
  again.put(23, 'whole');
  again.wire.set([23, 3, 3, 0, 40], again.length());
  t.equal(again.read(), 0);
  t.strictSame(again.told, [['plain', 'whole']]);
  t.equal(read(), 0);
  t.equal(told.length, 1);
});

test('TlsReader.consume() puts a handshake message together from several records', async (t) => {
  const { put, read, told } = setUp(t);
  const ticket = Buffer.concat([Buffer.from([4, 0, 1, 0]), randomBytes(256)]);
  put(22, ticket.subarray(0, 2));
  put(22, ticket.subarray(2, 100));
  put(22, ticket.subarray(100));
  put(22, Buffer.concat([ticket, ticket]));
  put(23, 'x');
  read();
  t.strictSame(told, [['plain', 'x']], 'tickets are ignored');
});

const keyUpdate = (value: number): Buffer => Buffer.from([24, 0, 0, 1, value]);
const refused: readonly [string, string, (put: ReturnType<typeof setUp>['put']) => void][] = [
  ['unexpected_message', 'a record of padding alone', (put) => put(0, '', 20)],
  ['unexpected_message', 'an unknown content type', (put) => put(24, 'x')],
  ['unexpected_message', 'a change_cipher_spec', (put) => put(20, Buffer.from([1]))],
  ['unexpected_message', 'an empty handshake record', (put) => put(22, '')],
  ['unexpected_message', 'a Finished', (put) => put(22, Buffer.from([20, 0, 0, 1, 0]))],
  ['unexpected_message', 'a CertificateRequest', (put) => put(22, Buffer.from([13, 0, 0, 0]))],
  ['unexpected_message', 'a long message', (put) => put(22, Buffer.from([4, 0xff, 0xff, 0xff]))],
  ['illegal_parameter', 'a KeyUpdate of 2', (put) => put(22, keyUpdate(2))],
  ['decode_error', 'an empty KeyUpdate', (put) => put(22, Buffer.from([24, 0, 0, 0]))],
  ['decode_error', 'an alert of one byte', (put) => put(21, Buffer.from([1]))],
  ['record_overflow', '16385 bytes in a record', (put) => put(23, Buffer.alloc(16_385, 1))],
  [
    'unexpected_message',
    'two messages with a KeyUpdate in front',
    (put) => put(22, Buffer.concat([keyUpdate(0), keyUpdate(0)])),
  ],
  [
    'unexpected_message',
    'data inside a handshake message',
    (put) => {
      put(22, Buffer.from([4, 0]));
      put(23, 'x');
    },
  ],
  [
    'unexpected_message',
    'empty records without end',
    (put) => {
      for (let i = 0; i <= MAX_RECORDS_WITHOUT_DATA; i += 1) put(23, '');
    },
  ],
  [
    'unexpected_message',
    'warnings without end',
    (put) => {
      for (let i = 0; i <= MAX_RECORDS_WITHOUT_DATA; i += 1) put(21, Buffer.from([1, 90]));
    },
  ],
];

for (const [alert, what, make] of refused) {
  test(`TlsReader.consume() refuses ${what} with ${alert}`, async (t) => {
    const { put, read, told } = setUp(t);
    put(23, 'good');
    make(put);
    t.equal(alertOf(read), alert);
    t.strictSame(told[0], ['plain', 'good'], 'what came before is handed on');
  });
}

test('TlsReader.consume() takes tickets from a server only', async (t) => {
  const { put, read } = setUp(t, 'server');
  put(22, Buffer.from([4, 0, 0, 0]));
  t.equal(alertOf(read), 'unexpected_message');
});

test('TlsReader.consume() refuses a bit flipped anywhere in a record', async (t) => {
  for (let at = 0; at < 5 + 4 + 1 + 16; at += 1) {
    const { put, read, told, wire } = setUp(t);
    put(23, 'data');
    // Not the length, which decides only where the next record begins.
    if (at === 3 || at === 4) continue;
    wire[at] = (wire[at] ?? 0) ^ 0x10;
    t.match(alertOf(read), at === 0 ? 'unexpected_message' : 'bad_record_mac', `byte ${at}`);
    t.strictSame(told, []);
  }
});

test('TlsReader.consume() judges a head before the body has come', async (t) => {
  const heads: readonly [string, number[]][] = [
    ['record_overflow', [23, 3, 3, 0x41, 0x01]],
    ['bad_record_mac', [23, 3, 3, 0, 16]],
    ['unexpected_message', [21, 3, 3, 0, 2]],
    ['unexpected_message', [0x47, 0x45, 0x54, 0x20, 0x2f]],
  ];
  for (const [alert, head] of heads) {
    const loop = makeLoop(t);
    const slabs = new TlsSlabs(loop);
    const sink = { onPlain: () => t.fail(), onAlert: () => t.fail(), onKeyUpdate: () => t.fail() };
    const secret = randomBytes(48);
    const reader = new TlsReader({
      role: 'server',
      suite: 'aes-256-gcm',
      secret,
      sequence: 0,
      sink,
    });
    slabs.wireIn.bytes.set(head);
    t.equal(
      alertOf(() => reader.consume(slabs.wireIn, 0, 5, slabs.plain)),
      alert,
    );
    reader.free();
  }
});

/** The small pure parts of the codec: windows, rates, settings, messages. */
import { test } from 'tap';
import { codeName } from '../../../common/http2/frames.ts';
import { HeaderBlocks } from '../../../common/http2/header-block.ts';
import { MAX_CONTINUATIONS, MAX_HEADER_BLOCK } from '../../../common/http2/limits.ts';
import { readMessage } from '../../../common/http2/message.ts';
import { PeerSettings } from '../../../common/http2/peer-settings.ts';
import { RateGuard } from '../../../common/http2/rate-guard.ts';
import { ReceiveWindow } from '../../../common/http2/receive-window.ts';
import { setting } from '../../helpers/http2-wire.ts';

const MIB = 1024 * 1024;

test('ReceiveWindow of a stream gives back what was consumed, half a window at a time', async (t) => {
  const window = new ReceiveWindow(4 * MIB, 0);
  t.equal(window.receive(4 * MIB), true);
  t.equal(window.receive(1), false, 'nothing beyond the window');
  window.consume(2 * MIB - 1);
  t.equal(window.credit(), 0);
  window.consume(1);
  t.equal(window.credit(), 2 * MIB);
  t.equal(window.credit(), 0);
  t.equal(window.receive(2 * MIB), true);
  t.equal(window.receive(1), false);
});

test('ReceiveWindow of a connection gives credit on receipt, until the hold is full', async (t) => {
  const window = new ReceiveWindow(16 * MIB, 64 * MIB);
  let credited = 0;
  let received = 0;
  while (window.receive(MIB)) {
    received += MIB;
    credited += window.credit();
  }
  t.equal(received, 80 * MIB, 'hold and window, and not a byte more');
  t.equal(credited, 64 * MIB);
  window.consume(10_000);
  t.equal(window.credit(), 0, 'crumbs are not announced');
  window.consume(MIB - 10_000);
  t.equal(window.credit(), MIB, 'what is consumed comes back');
});

test('ReceiveWindow lets a busy stream go on while others have stalled', async (t) => {
  const window = new ReceiveWindow(16 * MIB, 64 * MIB);
  for (let i = 0; i < 72; i += 1) {
    window.receive(MIB);
    window.credit();
  }
  let moved = 0;
  for (let i = 0; i < 1000 && window.receive(MIB); i += 1) {
    window.consume(MIB);
    window.credit();
    moved += 1;
  }
  t.equal(moved, 1000);
});

test('RateGuard lets a burst pass, then what the clock gives', async (t) => {
  const guard = new RateGuard({ burst: 3, perSecond: 2 }, 0);
  t.strictSame(
    [1, 2, 3, 4].map(() => guard.spend(0)),
    [true, true, true, false],
  );
  t.equal(guard.spend(499), false);
  t.equal(guard.spend(999), true);
  t.strictSame(
    [1, 2, 3, 4].map(() => guard.spend(60_000)),
    [true, true, true, false],
  );
  guard.earn(2);
  t.strictSame(
    [1, 2, 3].map(() => guard.spend(60_000)),
    [true, true, false],
  );
});

test('PeerSettings keeps what is valid and refuses the rest', async (t) => {
  const settings = new PeerSettings(true);
  const all = Buffer.concat([setting(3, 7), setting(4, 100), setting(5, 20_000), setting(99, 1)]);
  t.strictSame(settings.apply(all, 0, all.length), { windowDelta: -65_435, headerTable: false });
  t.match(settings, { maxStreams: 7, initialWindow: 100, maxFrame: 20_000, arrived: true });
  const rows: readonly [Buffer, string][] = [
    [setting(2, 1), 'PROTOCOL_ERROR'],
    [setting(4, 0x8000_0000), 'FLOW_CONTROL_ERROR'],
    [setting(5, 16_383), 'PROTOCOL_ERROR'],
    [setting(5, 16_777_216), 'PROTOCOL_ERROR'],
    [setting(8, 2), 'PROTOCOL_ERROR'],
  ];
  for (const [bytes, http2Error] of rows) {
    t.throws(() => settings.apply(bytes, 0, 6), {
      code: 'HTTP2_PROTOCOL_ERROR',
      details: { http2Error },
    });
  }
  t.doesNotThrow(() => new PeerSettings(false).apply(setting(2, 1), 0, 6), 'a client may');
});

test('PeerSettings sets no limit of streams once a peer has set none', async (t) => {
  const settings = new PeerSettings(true);
  t.equal(settings.maxStreams, 100);
  settings.apply(Buffer.alloc(0), 0, 0);
  t.equal(settings.maxStreams, Number.POSITIVE_INFINITY);
});

test('HeaderBlocks joins pieces, up to a number and a size', async (t) => {
  const piece = (length: number) => ({ length, type: 9, flags: 0, stream: 1 });
  const start = { length: 0, type: 1, flags: 1, stream: 1 };
  const blocks = new HeaderBlocks();
  t.equal(blocks.headers(start, Buffer.from('ab'), 0, 2), undefined);
  t.equal(blocks.isOpen, true);
  t.match(blocks.continuation({ ...piece(1), flags: 4 }, Buffer.from('c'), 0, 1), {
    stream: 1,
    endStream: true,
    bytes: Buffer.from('abc'),
  });
  t.equal(blocks.isOpen, false);

  const many = new HeaderBlocks();
  many.headers(start, Buffer.alloc(0), 0, 0);
  for (let i = 0; i < MAX_CONTINUATIONS; i += 1) many.continuation(piece(0), Buffer.alloc(0), 0, 0);
  t.throws(() => many.continuation(piece(0), Buffer.alloc(0), 0, 0), {
    code: 'HTTP2_PROTOCOL_ERROR',
    details: { http2Error: 'ENHANCE_YOUR_CALM' },
  });

  const large = new HeaderBlocks();
  const bytes = Buffer.alloc(MAX_HEADER_BLOCK);
  large.headers(start, bytes, 0, bytes.length);
  t.throws(() => large.continuation(piece(1), bytes, 0, 1), {
    code: 'HTTP2_PROTOCOL_ERROR',
    details: { http2Error: 'ENHANCE_YOUR_CALM' },
  });
});

test('readMessage() tells a request from what only looks like one', async (t) => {
  const request = (...lines: readonly string[]): string => {
    const headers = lines.map((line) => {
      const colon = line.indexOf(':', 1);
      return { name: line.slice(0, colon), value: line.slice(colon + 1) };
    });
    const message = readMessage(headers, 'request');
    return typeof message === 'string' ? message : 'good';
  };
  const connect = [':method:CONNECT', ':authority:a:1'];
  const rows: readonly [string, readonly string[]][] = [
    ['good', connect],
    ['good', [...connect, 'x:', 'te:trailers', '__proto__:1']],
    ['good', [':method:GET', ':scheme:http', ':path:/']],
    ['no :method', [':authority:a:1']],
    ['CONNECT without :authority', [':method:CONNECT']],
    ['CONNECT with :scheme or :path', [...connect, ':path:/']],
    [':protocol, which we did not offer', [...connect, ':protocol:websocket']],
    ['no :scheme', [':method:GET', ':path:/']],
    ['no :path', [':method:GET', ':scheme:http', ':path:']],
    ['pseudo header twice', [...connect, ':authority:b:1']],
    ['pseudo header after a header', [':method:CONNECT', 'a:b', ':authority:a:1']],
    ['unknown pseudo header', [...connect, ':status:200']],
    ['bad character in a header name', [...connect, 'Upper:1']],
    ['bad character in a header value', [...connect, 'a:b\r\nc']],
    ['bad character in a header value', [...connect, 'a: b']],
    ['header that HTTP/2 forbids', [...connect, 'connection:close']],
    ['te other than trailers', [...connect, 'te:gzip']],
  ];
  for (const [expected, lines] of rows) t.equal(request(...lines), expected, lines.join(' '));
});

test('codeName() spells what it knows, and numbers the rest', async (t) => {
  t.strictSame(
    [codeName(0), codeName(11), codeName(0xff)],
    ['NO_ERROR', 'ENHANCE_YOUR_CALM', '0xff'],
  );
});

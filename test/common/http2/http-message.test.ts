/** Ordinary requests over HTTP/2: what is well-formed, and what a session makes of what is not. */
import { test } from 'tap';
import type { HeaderSource, HpackEncoder } from '#common/http2/hpack-encoder.ts';
import { readHttpMessage, type MessageKind } from '#common/http2/http-message.ts';
import type { Stream, StreamOwner } from '#common/hbone/stream.ts';
import { bench, frame, literal, type Bench } from '../../helpers/http2-wire.ts';

type Row = readonly [name: string, headers: string, fault: string];

/** `name=value` lines, `;` between them. */
function read(kind: MessageKind, text: string): string {
  const headers = text.split(';').map((line) => {
    const at = line.indexOf('=', 1);
    return { name: line.slice(0, at), value: line.slice(at + 1) };
  });
  const message = readHttpMessage(headers, kind);
  return typeof message === 'string' ? message : '';
}

const GOOD = ':method=GET;:scheme=http;:authority=a;:path=/';

const REQUESTS: readonly Row[] = [
  ['a request', GOOD, ''],
  ['one with a host as well', `${GOOD};host=A`, ''],
  ['one with a host alone', ':method=GET;:scheme=http;:path=/;host=a', ''],
  ['one that takes trailers', `${GOOD};te=trailers`, ''],
  ['an asterisk', ':method=OPTIONS;:scheme=http;:authority=a;:path=*', ''],
  ['CONNECT', ':method=CONNECT;:authority=a:80', ''],
  ['__proto__', `${GOOD};__proto__=x`, ''],
  ['another host', `${GOOD};host=b`, 'host other'],
  ['two hosts', `${GOOD};host=a;host=a`, 'more than one host'],
  ['no authority', ':method=GET;:scheme=http;:path=/', 'no :authority'],
  [
    'an authority with user information',
    ':method=GET;:scheme=http;:authority=u@a;:path=/',
    'no :authority',
  ],
  ['no method', ':scheme=http;:authority=a;:path=/', 'no :method'],
  ['a method with a space', ':method=GET /;:scheme=http;:authority=a;:path=/', 'no :method'],
  ['no scheme', ':method=GET;:authority=a;:path=/', 'no :scheme'],
  ['no path', ':method=GET;:scheme=http;:authority=a', 'no :path'],
  ['an empty path', ':method=GET;:scheme=http;:authority=a;:path=', 'no :path'],
  ['a path with a space', ':method=GET;:scheme=http;:authority=a;:path=/ x', 'no :path'],
  ['an absolute path', ':method=GET;:scheme=http;:authority=a;:path=http://b/', 'no :path'],
  ['a path twice', `:path=/;${GOOD}`, 'twice'],
  ['a pseudo header behind a field', 'x=y;:method=GET', 'after a header'],
  ['a status', `:status=200;${GOOD}`, 'unknown pseudo'],
  ['an extended CONNECT', `${GOOD};:protocol=websocket`, ':protocol'],
  ['a name in capitals', `${GOOD};X-A=b`, 'header name'],
  ['a value with CR LF', `${GOOD};x=a\r\nb`, 'header value'],
  ['a value with a control character', `${GOOD};x=a\x01`, 'header value'],
  ['a value with a space before it', `${GOOD};x= a`, 'header value'],
  ['connection', `${GOOD};connection=close`, 'forbids'],
  ['transfer-encoding', `${GOOD};transfer-encoding=chunked`, 'forbids'],
  ['upgrade', `${GOOD};upgrade=websocket`, 'forbids'],
  ['te of another kind', `${GOOD};te=gzip`, 'te other'],
  ['two lengths', `${GOOD};content-length=1;content-length=1`, 'more than one'],
  ['a signed length', `${GOOD};content-length=+1`, 'malformed content-length'],
];

const RESPONSES: readonly Row[] = [
  ['a response', ':status=200', ''],
  ['one that informs', ':status=103;link=x', ''],
  ['101', ':status=101', '101'],
  ['a status of two digits', ':status=20', 'no :status'],
  ['no status', 'x=y', 'no :status'],
  ['a status twice', ':status=200;:status=200', 'twice'],
  ['a path', ':path=/', 'unknown'],
];

const TRAILERS: readonly Row[] = [
  ['trailers', 'grpc-status=0', ''],
  ['a pseudo header', ':status=200', 'pseudo'],
  ['a length', 'content-length=3', 'may not'],
  ['a host', 'host=a', 'may not'],
];

test('readHttpMessage() takes what RFC 9113 allows and no more', async (t) => {
  const kinds: readonly (readonly [MessageKind, readonly Row[]])[] = [
    ['request', REQUESTS],
    ['response', RESPONSES],
    ['trailers', TRAILERS],
  ];
  for (const [kind, rows] of kinds) {
    for (const [name, headers, fault] of rows) {
      t.match(read(kind, headers), fault === '' ? /^$/ : fault, `${kind}: ${name}`);
    }
  }
});

const HEADERS = 1;
const DATA = 0;
const RST = 3;
const END = 1;
const WHOLE = 4;

const get = (...more: readonly Buffer[]): Buffer =>
  Buffer.concat([
    literal(':method', 'POST'),
    literal(':scheme', 'http'),
    literal(':authority', 'a'),
    literal(':path', '/'),
    ...more,
  ]);

/** Writes down what it hears. */
function listener(heard: string[], stream: Stream): StreamOwner {
  return {
    onResponse: () => heard.push('response of a tunnel'),
    onHead: ({ status }, ends) => heard.push(`head ${status}${ends ? ' end' : ''}`),
    onTrailers: (fields) => heard.push(`trailers ${fields.map(({ name }) => name).join()}`),
    onData: (bytes, from, to) => {
      heard.push(`data ${bytes.toString('latin1', from, to)}`);
      stream.consumed(to - from);
    },
    onEnd: () => heard.push('end'),
    onReset: (code) => heard.push(`reset ${code}`),
    onSendRoom: () => undefined,
    onLost: () => heard.push('lost'),
  };
}

function server(): { bench: Bench; heard: string[]; streams: Stream[] } {
  const heard: string[] = [];
  const streams: Stream[] = [];
  const made = bench('server', {
    carries: 'requests',
    onMessage: (stream, { method, path }, ends) => {
      heard.push(`${method} ${path}${ends ? ' end' : ''}`);
      stream.owner = listener(heard, stream);
      streams.push(stream);
    },
  });
  return { bench: made, heard, streams };
}

const resets = (made: Bench): number[] =>
  made.outlet
    .frames()
    .filter(({ type }) => type === RST)
    .map(({ payload }) => payload.readUInt32BE(0));

test('a session of requests hands on head, content and trailers', async (t) => {
  const { bench: made, heard } = server();
  made.feed(
    frame(HEADERS, WHOLE, 1, get(literal('content-length', '3'))),
    frame(DATA, 0, 1, Buffer.from('abc')),
    frame(HEADERS, WHOLE | END, 1, literal('x-sum', '9')),
  );
  t.strictSame(heard, ['POST /', 'data abc', 'trailers x-sum', 'end']);
  t.strictSame(resets(made), []);
});

test('a session of requests resets a stream whose content is not as long as it says', async (t) => {
  for (const [name, ...frames] of [
    ['too long', frame(DATA, END, 1, Buffer.from('abcd'))],
    ['too short', frame(DATA, END, 1, Buffer.from('ab'))],
    ['too short with trailers', frame(HEADERS, WHOLE | END, 1, literal('x', 'y'))],
    ['trailers that do not end', frame(HEADERS, WHOLE, 1, literal('x', 'y'))],
  ] as const) {
    const { bench: made, heard } = server();
    made.feed(frame(HEADERS, WHOLE, 1, get(literal('content-length', '3'))), ...frames);
    t.strictSame(resets(made), [1], name);
    t.notOk(heard.includes('end'), name);
    t.equal(made.session.closed, false, name);
    made.feed(frame(HEADERS, WHOLE | END, 3, get()));
    t.equal(heard.at(-1), 'end', 'the next one is served');
  }
});

test('a session of requests resets malformed ones before anybody hears of them', async (t) => {
  const { bench: made, heard } = server();
  made.feed(
    frame(HEADERS, WHOLE | END, 1, get(literal('connection', 'close'))),
    frame(HEADERS, WHOLE | END, 3, get(literal('content-length', '1'))),
    frame(HEADERS, WHOLE | END, 5, literal(':method', 'GET')),
  );
  t.strictSame(resets(made), [1, 1, 1]);
  t.strictSame(heard, []);
});

const source = (write: (encoder: HpackEncoder) => void): HeaderSource => ({
  mostBytes: 200,
  encode: write,
});

test('a client of requests hears what informs, the response and its trailers', async (t) => {
  const made = bench('client', { carries: 'requests' });
  const heard: string[] = [];
  const request = source((encoder) => {
    encoder.method('GET');
    encoder.scheme('http');
    encoder.authority('a');
    encoder.path('/');
  });
  const stream = made.session.openRequest(request, true);
  stream.owner = listener(heard, stream);
  t.equal(stream.localEnded, true);
  made.feed(
    frame(HEADERS, WHOLE, 1, literal(':status', '103')),
    frame(HEADERS, WHOLE, 1, literal(':status', '200')),
    frame(DATA, 0, 1, Buffer.from('x')),
    frame(HEADERS, WHOLE | END, 1, literal('grpc-status', '0')),
  );
  t.strictSame(heard, ['head 103', 'head 200', 'data x', 'trailers grpc-status', 'end']);
  t.equal(stream.closed, true);
});

test('a session of requests lets the peer keep a table, and reads what it indexes', async (t) => {
  const { bench: made, heard } = server();
  const indexed = Buffer.concat([get(), Buffer.from([0x40, 1, 0x78, 1, 0x79])]);
  made.feed(frame(HEADERS, WHOLE | END, 1, indexed));
  made.feed(frame(HEADERS, WHOLE | END, 3, Buffer.concat([get(), Buffer.from([0xbe])])));
  t.equal(heard.filter((line) => line === 'POST / end').length, 2);
  t.equal(made.session.closed, false);
  t.equal(made.session.state(), undefined, 'such a session is no plain data');
});

/** What must never pass: messages that two readers could take for different ones. */
import { test } from 'tap';
import { RequestHead } from '#common/http1/request-head.ts';
import { readOurs } from '../../helpers/http1-oracle.ts';

const bytes = (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1');
const raw = (text: string): Buffer => Buffer.from(text, 'latin1');
/** A request with these field lines and this body, which is a good one without them. */
const post = (lines: string, body = ''): Buffer =>
  bytes(`POST / HTTP/1.1\nHost: a\n${lines}\n\n${body}`);
const get = (lines: string): Buffer => bytes(`GET / HTTP/1.1\n${lines}\n\n`);

/** Name, request, status; 0 where it must be taken. */
const REQUESTS: readonly (readonly [string, Buffer, number])[] = [
  ['a length', post('Content-Length: 3', 'abc'), 0],
  ['a length of zeros before it', post('Content-Length: 003', 'abc'), 0],
  ['chunks', post('Transfer-Encoding: chunked', '3\nabc\n0\n\n'), 0],
  ['chunks in capitals', post('TRANSFER-ENCODING: CHUNKED', '3\nabc\n0\n\n'), 0],
  ['length and chunks', post('Content-Length: 3\nTransfer-Encoding: chunked', '0\n\n'), 400],
  ['chunks and length', post('Transfer-Encoding: chunked\nContent-Length: 3', '0\n\n'), 400],
  ['the same length twice', post('Content-Length: 3\nContent-Length: 3', 'abc'), 400],
  ['two lengths', post('Content-Length: 3\nContent-Length: 4', 'abc'), 400],
  ['a list of lengths', post('Content-Length: 3, 3', 'abc'), 400],
  ['a signed length', post('Content-Length: +3', 'abc'), 400],
  ['a negative length', post('Content-Length: -1'), 400],
  ['a hexadecimal length', post('Content-Length: 0x3', 'abc'), 400],
  ['a length with a letter', post('Content-Length: 3a', 'abc'), 400],
  ['an empty length', post('Content-Length:', ''), 400],
  ['a length with spaces inside', post('Content-Length: 1 2', 'abc'), 400],
  ['a length beyond all numbers', post(`Content-Length: ${'9'.repeat(30)}`), 400],
  ['an unknown coding', post('Transfer-Encoding: xchunked', '0\n\n'), 501],
  ['gzip and chunked', post('Transfer-Encoding: gzip, chunked', '0\n\n'), 501],
  ['chunked and identity', post('Transfer-Encoding: chunked, identity', '0\n\n'), 501],
  ['chunked with a parameter', post('Transfer-Encoding: chunked;q=1', '0\n\n'), 501],
  ['chunked in quotes', post('Transfer-Encoding: "chunked"', '0\n\n'), 501],
  ['chunked behind a vertical tab', post('Transfer-Encoding: \x0bchunked', '0\n\n'), 400],
  ['chunked twice', post('Transfer-Encoding: chunked\nTransfer-Encoding: chunked', '0\n\n'), 400],
  ['an empty coding', post('Transfer-Encoding:', '0\n\n'), 501],
  [
    'chunks in HTTP/1.0',
    bytes('POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\n\n0\n\n'),
    400,
  ],
  ['a space before the colon', post('Content-Length : 3', 'abc'), 400],
  ['a tab before the colon', post('Transfer-Encoding\t: chunked', '0\n\n'), 400],
  ['a folded line', post('X: a\n b'), 400],
  ['a folded coding', post('Transfer-Encoding:\n chunked', '0\n\n'), 400],
  ['a field that begins with a space', bytes('GET / HTTP/1.1\n Host: a\n\n'), 400],
  ['a NUL in a value', post('X: a\0b'), 400],
  ['a bare CR in a value', raw('GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n'), 400],
  ['a bare LF behind a field', raw('GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n'), 400],
  ['a bare LF behind the start line', raw('GET / HTTP/1.1\nHost: a\r\n\r\n'), 400],
  ['a bare LF at the end', raw('GET / HTTP/1.1\r\nHost: a\r\n\n'), 400],
  ['CR CR LF', raw('GET / HTTP/1.1\r\nHost: a\r\r\n\r\n'), 400],
  ['a name of no letters', post(': x'), 400],
  ['a name in brackets', post('[X]: x'), 400],
  ['a name beyond ASCII', post('X\xe9: x'), 400],
  ['a value beyond ASCII', post('X: \xe9'), 0],
  ['no host', get('X: a'), 400],
  ['no host in HTTP/1.0', bytes('GET / HTTP/1.0\n\n'), 0],
  ['two hosts', get('Host: a\nHost: a'), 400],
  ['an empty host', get('Host:'), 400],
  ['a host with a path', get('Host: a/b'), 400],
  ['a host with user information', get('Host: u@a'), 400],
  ['a list of hosts', get('Host: a, b'), 400],
  ['an absolute target', bytes('GET http://a/x HTTP/1.1\nHost: a\n\n'), 0],
  ['an absolute target with another host', bytes('GET http://b/x HTTP/1.1\nHost: a\n\n'), 400],
  ['an absolute target of another scheme', bytes('GET ftp://a/x HTTP/1.1\nHost: a\n\n'), 400],
  ['an absolute target with user information', bytes('GET http://a@b/ HTTP/1.1\nHost: b\n\n'), 400],
  ['a target without a slash', bytes('GET x HTTP/1.1\nHost: a\n\n'), 400],
  ['a fragment', bytes('GET /x#y HTTP/1.1\nHost: a\n\n'), 400],
  ['two spaces before the target', bytes('GET  / HTTP/1.1\nHost: a\n\n'), 400],
  ['a space behind the version', bytes('GET / HTTP/1.1 \nHost: a\n\n'), 400],
  ['a tab in the start line', bytes('GET\t/ HTTP/1.1\nHost: a\n\n'), 400],
  ['an asterisk for GET', bytes('GET * HTTP/1.1\nHost: a\n\n'), 400],
  ['an asterisk for OPTIONS', bytes('OPTIONS * HTTP/1.1\nHost: a\n\n'), 0],
  ['CONNECT', bytes('CONNECT a:1 HTTP/1.1\nHost: a:1\n\n'), 501],
  ['HTTP/2.0', bytes('GET / HTTP/2.0\nHost: a\n\n'), 505],
  ['HTTP/1.2', bytes('GET / HTTP/1.2\nHost: a\n\n'), 505],
  ['HTTP/0.9', bytes('GET /\nHost: a\n\n'), 400],
  ['a version in lower case', bytes('GET / http/1.1\nHost: a\n\n'), 505],
  ['a method with a colon', bytes('GE:T / HTTP/1.1\nHost: a\n\n'), 400],
  ['an unknown method', bytes('PURGE / HTTP/1.1\nHost: a\n\n'), 0],
  ['one empty line before it', raw('\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'), 0],
  ['two empty lines before it', raw('\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'), 400],
  ['another expectation', post('Expect: 200-ok'), 417],
  [
    'Connection that names the length',
    post('Connection: content-length\nContent-Length: 3', 'abc'),
    400,
  ],
  [
    'Connection that names the coding',
    post('Connection: close, transfer-encoding\nTransfer-Encoding: chunked', '0\n\n'),
    400,
  ],
  ['Connection that names the host', get('Host: a\nConnection: host'), 400],
  ['Connection that names a field', get('Host: a\nX: y\nConnection: x'), 0],
  [
    'an upgrade with content',
    post('Connection: upgrade\nUpgrade: x\nContent-Length: 3', 'abc'),
    400,
  ],
  ['a chunk size with a prefix', post('Transfer-Encoding: chunked', '0x3\nabc\n0\n\n'), 400],
  ['a chunk size with a sign', post('Transfer-Encoding: chunked', '+3\nabc\n0\n\n'), 400],
  ['a chunk size with a space', post('Transfer-Encoding: chunked', '3 \nabc\n0\n\n'), 400],
  [
    'a chunk size beyond all numbers',
    post('Transfer-Encoding: chunked', `${'f'.repeat(17)}\nabc`),
    400,
  ],
  ['no chunk size', post('Transfer-Encoding: chunked', '\nabc\n0\n\n'), 400],
  [
    'a chunk that is longer than it says',
    post('Transfer-Encoding: chunked', '3\nabcd\n0\n\n'),
    400,
  ],
  [
    'a chunk with a bare LF',
    raw('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n'),
    400,
  ],
  [
    'a chunk that ends with a bare LF',
    raw('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n'),
    400,
  ],
  ['an extension', post('Transfer-Encoding: chunked', '3;a=b\nabc\n0\n\n'), 0],
  [
    'an extension with a line feed',
    raw('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;\nabc\r\n0\r\n\r\n'),
    400,
  ],
  ['an endless extension', post('Transfer-Encoding: chunked', `3;${'a'.repeat(2000)}`), 400],
  ['a trailer', post('Transfer-Encoding: chunked', '0\nX-Sum: 1\n\n'), 0],
  ['a length as a trailer', post('Transfer-Encoding: chunked', '0\nContent-Length: 5\n\n'), 400],
  ['a host as a trailer', post('Transfer-Encoding: chunked', '0\nHost: b\n\n'), 400],
  ['a folded trailer', post('Transfer-Encoding: chunked', '0\nX: a\n b\n\n'), 400],
  ['too many fields', get(`Host: a\n${'X: y\n'.repeat(200)}X: y`), 431],
  ['too long a line', get(`Host: a\nX: ${'y'.repeat(40_000)}`), 431],
  ['too large a head', get(`Host: a\n${`X: ${'y'.repeat(9000)}\n`.repeat(8)}X: y`), 431],
  ['too long a target', bytes(`GET /${'y'.repeat(20_000)} HTTP/1.1\nHost: a\n\n`), 414],
  ['too long a method', bytes(`${'G'.repeat(40)} / HTTP/1.1\nHost: a\n\n`), 400],
  ['a field called __proto__', get('Host: a\n__proto__: x'), 0],
];

const EACH_BYTE_UP_TO = 2000;

test('a request that could be taken for two is refused, its neighbour is not', async (t) => {
  for (const [name, input, status] of REQUESTS) {
    const { fault, status: found, messages } = readOurs('request', input, []);
    t.equal(found, status, `${name}: ${fault}`);
    if (status === 0) t.ok(messages[0]?.isComplete, `${name} is read to its end`);
    if (input.length > EACH_BYTE_UP_TO) continue;
    const places = Array.from({ length: input.length - 1 }, (_, i) => i + 1);
    t.equal(readOurs('request', input, places).status, status, `${name}, byte by byte`);
  }
});

const RESPONSES: readonly (readonly [string, Buffer, string, string])[] = [
  ['a length', bytes('HTTP/1.1 200 OK\nContent-Length: 2\n\nok'), 'ok', ''],
  ['until the end', bytes('HTTP/1.1 200 OK\n\nall'), 'all', ''],
  ['no reason', bytes('HTTP/1.1 200\nContent-Length: 0\n\n'), '', ''],
  ['a 304 with a length', bytes('HTTP/1.1 304 Not Modified\nContent-Length: 9\n\n'), '', ''],
  [
    'both',
    bytes('HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n0\n\n'),
    '',
    'both',
  ],
  [
    'two lengths',
    bytes('HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\n\nok'),
    '',
    'more than one',
  ],
  ['a bare LF', raw('HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n'), '', 'CR LF'],
  [
    'another coding',
    bytes('HTTP/1.1 200 OK\nTransfer-Encoding: gzip\n\n'),
    '',
    'other than chunked',
  ],
  ['a status of two digits', bytes('HTTP/1.1 99 OK\nContent-Length: 0\n\n'), '', 'status'],
  ['a status of four digits', bytes('HTTP/1.1 2000 OK\nContent-Length: 0\n\n'), '', 'status'],
  ['another protocol', bytes('ICY 200 OK\nContent-Length: 0\n\n'), '', 'HTTP/1.1'],
  ['too short', bytes('HTTP/1.1 200 OK\nContent-Length: 5\n\nok'), 'ok', 'too early'],
  [
    'chunks without the last',
    bytes('HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n'),
    'ok',
    'too early',
  ],
];

test('a response that could be taken for two is refused, its neighbour is not', async (t) => {
  for (const [name, input, body, fault] of RESPONSES) {
    const { messages, fault: found } = readOurs('response', input, []);
    t.match(found, fault === '' ? /^$/ : fault, name);
    t.equal(messages[0]?.body ?? '', body, name);
  }
});

test('what Connection names is not sent on, and nothing else is lost', async (t) => {
  const head = new RequestHead();
  head.begin();
  const lines = 'Host: a\nConnection: x-hop, close\nX-Hop: 1\nX-End: 2\nKeep-Alive: 5\nX-Last: 3';
  const input = get(lines);
  t.equal(head.read(input, 0, input.length), input.length);
  const into = Buffer.alloc(1000);
  const sent = into.toString('latin1', 0, head.fields.copyTo(into, 0));
  t.equal(sent, 'Host: a\r\nX-End: 2\r\nX-Last: 3\r\n');
  t.equal(head.framing.close, true);
});

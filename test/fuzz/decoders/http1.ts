/**
 * HTTP/1.1 heads, bodies and chunks, with Node's own parser as the judge.
 *
 * Every message that we take, Node takes as well, with the same target, fields and content, and ends
 * at the same byte: what would differ could be smuggled. We may refuse more. How the bytes are cut
 * into pieces changes nothing.
 */
import { createRequire } from 'node:module';
import { readNode, readOurs, type Seen } from '../../helpers/http1-oracle.ts';
import { must, type Decoder } from '../decoder.ts';
import { mutateBytes, mutateLines } from '../mutate.ts';
import { pick, type Random } from '../random.ts';

type Kind = 'request' | 'response';

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- internal to Node
const { methods } = createRequire(import.meta.url)('node:_http_common') as {
  methods: readonly string[];
};

/** Refusals of Node's that are about what we do not judge. */
const NODE_ALONE = new Set([
  'HPE_INVALID_METHOD',
  'HPE_INVALID_URL',
  'HPE_CLOSED_CONNECTION',
  'HPE_INVALID_STATUS',
  'HPE_INVALID_EOF_STATE',
  'HPE_PAUSED_H2_UPGRADE',
]);

/** Node's parser by itself has no bound; Node's server does. */
const LONGEST_COMPARED = 60_000;

function run(kind: Kind, input: Buffer): string {
  const ours = readOurs(kind, input, []);
  must(ours.fault === '' || ours.status >= 400, 'a fault without a status');
  const cuts = cutsOf(input);
  const cut = readOurs(kind, input, cuts);
  must(JSON.stringify(cut) === JSON.stringify(ours), `cut at ${cuts.join()} it reads otherwise`);
  if (input.length <= LONGEST_COMPARED) compare(kind, input, ours.messages);
  return ours.fault === '' ? 'read' : ours.fault;
}

function compare(kind: Kind, input: Buffer, messages: readonly Seen[]): void {
  if (messages.length === 0) return;
  const node = readNode(kind, input, methods);
  for (const [i, message] of messages.entries()) {
    const theirs = node.messages[i];
    if (theirs === undefined && NODE_ALONE.has(node.fault)) return;
    must(theirs !== undefined, `Node has no message ${i}: ${node.fault}`);
    const isWhole = message.isComplete;
    if (!isWhole) {
      must(message.line === theirs?.line, `message ${i} begins otherwise`);
      return;
    }
    if (theirs?.isComplete === false && NODE_ALONE.has(node.fault)) return;
    must(
      JSON.stringify(message) === JSON.stringify(theirs),
      `message ${i}: ${JSON.stringify(message)} and Node ${JSON.stringify(theirs)} ${node.fault}`,
    );
  }
}

/** Places to cut that depend on the input alone. */
function cutsOf(input: Buffer): number[] {
  const cuts: number[] = [];
  for (let at = 0, step = 1 + (input[0] ?? 0) + input.length; at < input.length;) {
    step = (step * 1_103_515_245 + 12_345) % 2 ** 31;
    at += 1 + (input.length > 4096 ? step % 2000 : step % 23);
    if (at < input.length) cuts.push(at);
  }
  return cuts;
}

const text = (...lines: readonly string[]): Buffer => Buffer.from(lines.join('\r\n'), 'latin1');

const REQUESTS = [
  text('GET / HTTP/1.1', 'Host: a.example', '', ''),
  text('GET /a?b=c HTTP/1.1', 'Host: a:80', 'User-Agent: x', 'Accept: */*', '', ''),
  text('POST /p HTTP/1.1', 'Host: a', 'Content-Length: 5', '', 'hello'),
  text(
    'POST /c HTTP/1.1',
    'Host: a',
    'Transfer-Encoding: chunked',
    '',
    '5',
    'hello',
    'A;x=y',
    '0123456789',
    '0',
    '',
    '',
  ),
  text(
    'POST /t HTTP/1.1',
    'Host: a',
    'Transfer-Encoding: chunked',
    'Trailer: X-Sum',
    '',
    '1',
    'a',
    '0',
    'X-Sum: 9',
    '',
    '',
  ),
  text('GET http://a.example/x HTTP/1.1', 'Host: a.example', 'Connection: close', '', ''),
  text('OPTIONS * HTTP/1.1', 'Host: a', 'Connection: keep-alive, X-Hop', 'X-Hop: 1', '', ''),
  text('GET /ws HTTP/1.1', 'Host: a', 'Connection: Upgrade', 'Upgrade: websocket', '', ''),
  text('PUT /e HTTP/1.1', 'Host: a', 'Expect: 100-continue', 'Content-Length: 2', '', 'ab'),
  text('GET / HTTP/1.0', '', ''),
  text(
    'GET /1 HTTP/1.1',
    'Host: a',
    '',
    'POST /2 HTTP/1.1',
    'Host: a',
    'Content-Length: 1',
    '',
    'xGET /3 HTTP/1.1',
    'Host: a',
    '',
    '',
  ),
];
const RESPONSES = [
  text('HTTP/1.1 200 OK', 'Content-Length: 2', '', 'ok'),
  text('HTTP/1.1 204 No Content', 'Server: x', '', ''),
  text('HTTP/1.1 100 Continue', '', 'HTTP/1.1 200 OK', 'Content-Length: 0', '', ''),
  text(
    'HTTP/1.1 200 OK',
    'Transfer-Encoding: chunked',
    '',
    '3',
    'abc',
    '0',
    'Grpc-Status: 0',
    '',
    '',
  ),
  text('HTTP/1.1 200 OK', 'Connection: close', '', 'until the end'),
  text('HTTP/1.0 404 Not Found', 'Content-Type: text/plain', '', 'gone'),
  text(
    'HTTP/1.1 304 Not Modified',
    'ETag: "x"',
    'Content-Length: 99',
    '',
    'HTTP/1.1 200 OK',
    'Content-Length: 1',
    '',
    'x',
  ),
];
const LINES = [
  'Content-Length: 3',
  'Content-Length: +3',
  'Content-Length: 3, 3',
  'content-length : 3',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding: chunked, chunked',
  ' folded: x',
  'Host: b',
  'Connection: content-length',
  'Connection: close',
  'Expect: 100-continue',
  'X: \x01',
  'X: \xff',
  'Te: trailers',
  ': x',
  'X',
  '',
  '0',
  '5',
  '5;a',
  '0x5',
  '-1',
];

function mutate(random: Random, from: Buffer, other: Buffer): Buffer {
  switch (random(4)) {
    case 0:
      return mutateBytes(random, from, other);
    case 1:
      return mutateLines(random, from, other);
    case 2: {
      const lines = from.toString('latin1').split('\r\n');
      lines.splice(1 + random(lines.length), random(2), pick(random, LINES));
      return Buffer.from(lines.join('\r\n'), 'latin1');
    }
    default:
      return Buffer.concat([from, other]);
  }
}

const head = 'GET / HTTP/1.1\r\nHost: a\r\n';
const bytes = (content: string): Buffer => Buffer.from(content, 'latin1');
const REQUEST_COST = {
  'one field after the other': bytes(`${head}${'A: b\r\n'.repeat(10_000)}\r\n`),
  'a line without an end': bytes(`${head}X: ${'y'.repeat(65_000)}`),
  'a target without an end': bytes(`GET /${'y'.repeat(65_000)}`),
  'chunks of one byte': bytes(
    `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\na\r\n'.repeat(10_000)}`,
  ),
};

const decoderOf = (kind: Kind, seeds: readonly Buffer[], costly: Decoder['costly']): Decoder => ({
  name: `http1-${kind}s`,
  seeds,
  mutate,
  run: (input) => run(kind, input),
  // Read by two parsers, three times over.
  budgetMs: 25,
  ...(costly !== undefined && { costly }),
});

export const http1Requests = decoderOf('request', REQUESTS, REQUEST_COST);
export const http1Responses = decoderOf('response', RESPONSES, undefined);

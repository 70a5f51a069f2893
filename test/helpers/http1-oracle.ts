/**
 * HTTP/1.1 read by our codec and by Node's own parser, in the same form, so that they can be compared.
 *
 * Both stop where a connection would: behind an upgrade, behind a message that ends it, at a fault.
 */
import { createRequire } from 'node:module';
import type { FieldBlock } from '#common/http1/field-block.ts';
import type { Fault } from '#common/http1/fault.ts';
import { MessageReader, type MessageSink } from '#common/http1/message-reader.ts';
import { RequestHead } from '#common/http1/request-head.ts';
import { ResponseHead } from '#common/http1/response-head.ts';
import { responseBody } from '#common/http1/response-body.ts';

export interface Seen {
  /** `METHOD target` or the status. */
  readonly line: string;
  readonly fields: readonly string[];
  body: string;
  trailers: readonly string[];
  isComplete: boolean;
}

export interface Reading {
  readonly messages: Seen[];
  /** What was wrong, or ''. */
  fault: string;
  status: number;
}

const target = Buffer.alloc(70_000);

type Kind = 'request' | 'response';

function fieldsOf(block: FieldBlock): string[] {
  return Array.from({ length: block.count }, (_, i) => [block.name(i), block.value(i)]).flat();
}

class Ours implements MessageSink {
  readonly reading: Reading = { messages: [], fault: '', status: 0 };
  readonly reader: MessageReader;
  readonly #request = new RequestHead();
  readonly #response = new ResponseHead();
  readonly #kind: Kind;
  #isLast = false;

  constructor(kind: Kind) {
    this.#kind = kind;
    this.reader = new MessageReader(kind === 'request' ? this.#request : this.#response, this);
    this.reader.next();
  }

  onHead(): ReturnType<MessageSink['onHead']> {
    return this.#kind === 'request' ? this.#onRequest() : this.#onResponse();
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    const last = this.reading.messages.at(-1);
    if (last !== undefined) last.body += bytes.toString('latin1', from, to);
  }

  onMessageEnd(trailers: FieldBlock | undefined): void {
    const last = this.reading.messages.at(-1);
    if (last === undefined) throw new TypeError('an end of nothing');
    last.isComplete = true;
    if (trailers !== undefined) last.trailers = fieldsOf(trailers);
    if (this.#isLast) this.reader.stop();
    else this.reader.next();
  }

  onFault(fault: Fault): void {
    this.reading.fault = fault.found;
    this.reading.status = fault.status;
  }

  #onRequest(): ReturnType<MessageSink['onHead']> {
    const { fields, framing, method, minor } = this.#request;
    const line = `${method} ${target.toString('latin1', 0, this.#request.copyTarget(target, 0))}`;
    this.#add(line, fields);
    this.#isLast = framing.upgrade || framing.close || (minor === 0 && !framing.keep);
    if (framing.chunked) return { kind: 'chunked', length: 0 };
    return framing.length > 0
      ? { kind: 'length', length: framing.length }
      : { kind: 'none', length: 0 };
  }

  #onResponse(): ReturnType<MessageSink['onHead']> {
    const { fields, framing, status, minor } = this.#response;
    this.#add(String(status), fields);
    this.#isLast = status === 101 || framing.close || (minor === 0 && !framing.keep);
    if (status < 200 && status !== 101) {
      const last = this.reading.messages.at(-1);
      if (last !== undefined) last.isComplete = true;
      return undefined;
    }
    if (status === 101) return { kind: 'none', length: 0 };
    return responseBody(this.#response, 'GET');
  }

  #add(line: string, block: FieldBlock): void {
    const fields = fieldsOf(block);
    this.reading.messages.push({ line, fields, body: '', trailers: [], isComplete: false });
  }
}

/** Reads with our codec, the bytes cut at these places; `end` says that the connection ends there. */
export function readOurs(kind: Kind, bytes: Buffer, cuts: readonly number[], end = true): Reading {
  const ours = new Ours(kind);
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    // A buffer of its own for each piece: nothing may be kept that was only lent.
    const piece = Buffer.from(bytes.subarray(from, cut));
    ours.reader.receive(piece, 0, piece.length);
    piece.fill(0x21);
    from = cut;
  }
  if (end) ours.reader.end();
  return ours.reading;
}

interface NodeParser {
  [event: number]: unknown;
  initialize(type: number, resource: object): void;
  execute(bytes: Buffer): unknown;
  finish(): unknown;
  close(): void;
}
interface NodeParserClass {
  new (): NodeParser;
  readonly [name: string]: number;
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- no types: it is internal to Node
const { HTTPParser } = createRequire(import.meta.url)('node:_http_common') as {
  HTTPParser: NodeParserClass;
};
const constant = (name: string): number => HTTPParser[name] ?? -1;

/** Reads with Node's parser. */
export function readNode(kind: Kind, bytes: Buffer, methods: readonly string[]): Reading {
  const reading: Reading = { messages: [], fault: '', status: 0 };
  const parser = new HTTPParser();
  parser.initialize(constant(kind === 'request' ? 'REQUEST' : 'RESPONSE'), {});
  let early: string[] = [];
  let url = '';
  let isUpgrade = false;
  parser[constant('kOnHeaders')] = (fields: string[], part: string): void => {
    const last = reading.messages.at(-1);
    if (last !== undefined && !last.isComplete)
      last.trailers = lower([...last.trailers, ...fields]);
    else {
      early = [...early, ...fields];
      url += part;
    }
  };
  parser[constant('kOnHeadersComplete')] = (
    ...told: readonly [
      number,
      number,
      string[] | undefined,
      number | undefined,
      string | undefined,
      number | undefined,
      string | undefined,
      boolean,
      boolean,
    ]
  ): number => {
    const [, , fields, method, whole, status, , upgrade] = told;
    isUpgrade = upgrade;
    const line =
      kind === 'request' ? `${methods[method ?? -1]} ${whole ?? url}` : String(status ?? 0);
    const all = lower(fields ?? early);
    reading.messages.push({ line, fields: all, body: '', trailers: [], isComplete: false });
    early = [];
    url = '';
    return 0;
  };
  parser[constant('kOnBody')] = (piece: Buffer): void => {
    const last = reading.messages.at(-1);
    if (last !== undefined) last.body += piece.toString('latin1');
  };
  parser[constant('kOnMessageComplete')] = (): void => {
    const last = reading.messages.at(-1);
    if (last !== undefined) last.isComplete = true;
  };
  const result = parser.execute(bytes);
  if (result instanceof Error) reading.fault = codeOf(result);
  else if (!isUpgrade) {
    const finished = parser.finish();
    if (finished instanceof Error) reading.fault = codeOf(finished);
  }
  parser.close();
  return reading;
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.message;
}

/** Names in lower case, values without the spaces around them. */
function lower(pairs: readonly string[]): string[] {
  return pairs.map((text, i) =>
    i % 2 === 0 ? text.toLowerCase() : text.replaceAll(/^[ \t]+|[ \t]+$/g, ''),
  );
}

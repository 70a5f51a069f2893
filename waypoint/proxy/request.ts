/**
 * The head of a request at hand, whichever protocol it came in: what routing sees of it, and how it
 * is sent on. One stands beside each reader and is used again.
 */
import type { FieldBlock } from '#common/http1/field-block.ts';
import { NAME } from '#common/http1/names.ts';
import type { RequestHead } from '#common/http1/request-head.ts';
import { writeField, writeLineEnd, writeText } from '#common/http1/writer.ts';
import type { HeaderSource, HpackEncoder } from '#common/http2/hpack-encoder.ts';
import type { HttpMessage } from '#common/http2/http-message.ts';
import { Fields } from './fields.ts';
import { HEAD_SPARE_BYTES } from './limits.ts';
import type { Caller, RequestView } from './router.ts';

/** What follows a head: nothing, as much as content-length says, or until the sender ends it. */
export type Content = 'none' | 'sized' | 'open';

const VERSION = ' HTTP/1.1\r\n';

export class Request implements RequestView, HeaderSource {
  readonly fields = new Fields();
  method = '';
  authority = '';
  content: Content = 'none';
  /** It takes trailers. */
  takesTrailers = false;
  /** It waits for `100 Continue`. */
  expects = false;
  /** Value of Upgrade; '' for none. */
  upgrade = '';
  /** A call of gRPC, which is told failures in its own way; known in HTTP/2 alone. */
  isGrpc = false;
  #head: RequestHead | undefined;
  #target = '';
  #hasTarget = false;
  #queryAt = -2;
  #host: string | undefined;

  ofHttp1(head: RequestHead): void {
    const { framing } = head;
    this.#begin(head);
    this.method = head.method;
    this.authority = '';
    this.content = framing.chunked ? 'open' : framing.length > 0 ? 'sized' : 'none';
    this.takesTrailers = framing.takesTrailers;
    this.expects = head.expectsContinue && this.content !== 'none';
    this.isGrpc = false;
    this.upgrade = framing.upgrade ? (head.upgrade ?? '') : '';
    this.fields.ofBlock(head.fields);
  }

  ofHttp2(message: HttpMessage, endStream: boolean): void {
    this.#begin(undefined);
    this.method = message.method;
    this.authority = message.authority;
    this.content = endStream ? 'none' : message.length >= 0 ? 'sized' : 'open';
    this.#target = message.path;
    this.#hasTarget = true;
    this.fields.ofHeaders(message.headers, message.first);
    this.takesTrailers = this.fields.get('te') === 'trailers';
    this.expects = this.content !== 'none' && this.fields.get('expect') !== undefined;
    this.isGrpc = this.fields.get('content-type')?.startsWith('application/grpc') === true;
    this.upgrade = '';
  }

  /** Puts what is known of the client in the place of whatever the client says of itself. */
  claim({ forwarded, clientCert }: Caller): void {
    const { fields } = this;
    fields.replace(NAME.forwarded, 'forwarded', forwarded);
    fields.replace(NAME.clientCert, 'x-forwarded-client-cert', clientCert);
  }

  get target(): string {
    if (!this.#hasTarget) {
      this.#target = this.#head?.path ?? '';
      this.#hasTarget = true;
    }
    return this.#target;
  }

  /** Sends another path and query than what came. */
  set target(target: string) {
    // The head knows the authority too, and is let go of here.
    this.authority = this.authorityText;
    this.#target = target;
    this.#hasTarget = true;
    this.#head = undefined;
    this.#queryAt = -2;
  }

  /** Sends another host than the one that came. */
  rehost(host: string): void {
    this.authority = host;
    this.#host = undefined;
    this.fields.set('host', host);
  }

  get host(): string {
    if (this.#host === undefined) {
      const authority = this.authorityText;
      const [, bracketed, plain] = /^(?:(\[[^\]]*\])|([^:]*))/.exec(authority) ?? [];
      this.#host = (bracketed ?? plain ?? '').toLowerCase();
    }
    return this.#host;
  }

  get path(): string {
    const { target } = this;
    const at = this.#query();
    return at < 0 ? target : target.slice(0, at);
  }

  get query(): string {
    const at = this.#query();
    return at < 0 ? '' : this.target.slice(at + 1);
  }

  get authorityText(): string {
    if (this.authority === '' && this.#head !== undefined) this.authority = this.#head.authority;
    return this.authority;
  }

  header(name: string): string | undefined {
    if (name === 'host') return this.authorityText;
    return this.fields.get(name);
  }

  /** Whether it may be sent again when nobody has answered it (RFC 9110 section 9.2.2). */
  get isRepeatable(): boolean {
    const { method } = this;
    const isSafe =
      method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || method === 'TRACE';
    return (
      this.content === 'none' &&
      this.upgrade === '' &&
      (isSafe || method === 'PUT' || method === 'DELETE')
    );
  }

  /** At most as many bytes as `write` writes. */
  get headBytes(): number {
    return this.fields.lineBytes + HEAD_SPARE_BYTES + (this.#hasTarget ? this.#target.length : 0);
  }

  /** Writes the whole head for HTTP/1.1; returns where it ends. */
  write(into: Buffer, at: number): number {
    let end = writeText(into, at, this.method);
    into[end] = 0x20;
    end += 1;
    const head = this.#head;
    if (head === undefined || head.isAbsolute) end = writeText(into, end, this.target);
    else end = head.copyTarget(into, end);
    end = writeText(into, end, VERSION);
    if (head === undefined && this.fields.get('host') === undefined) {
      end = writeField(into, end, 'host', this.authority);
    }
    end = this.fields.write(into, end);
    if (this.content === 'open') end = writeField(into, end, 'transfer-encoding', 'chunked');
    else if (this.content === 'none' && this.#mustSayNone()) {
      end = writeField(into, end, 'content-length', '0');
    }
    if (this.takesTrailers) {
      end = writeField(into, end, 'te', 'trailers');
      if (this.upgrade === '') end = writeField(into, end, 'connection', 'te');
    }
    if (this.upgrade !== '') {
      end = writeField(into, end, 'connection', 'upgrade');
      end = writeField(into, end, 'upgrade', this.upgrade);
    }
    return writeLineEnd(into, end);
  }

  get mostBytes(): number {
    return this.fields.mostBytes + this.target.length + this.authorityText.length + 128;
  }

  /** Writes the whole head for HTTP/2. */
  encode(encoder: HpackEncoder): void {
    encoder.method(this.method);
    encoder.scheme('http');
    encoder.authority(this.authorityText);
    encoder.path(this.target);
    if (this.takesTrailers && this.#head !== undefined) encoder.field('te', 'trailers');
    this.fields.encode(encoder);
  }

  #begin(head: RequestHead | undefined): void {
    this.#head = head;
    this.#hasTarget = false;
    this.#queryAt = -2;
    this.#host = undefined;
  }

  #query(): number {
    if (this.#queryAt === -2) this.#queryAt = this.target.indexOf('?');
    return this.#queryAt;
  }

  /** Servers wait for content of these methods unless they are told that there is none. */
  #mustSayNone(): boolean {
    const { method } = this;
    return (
      (method === 'POST' || method === 'PUT' || method === 'PATCH') &&
      this.fields.get('content-length') === undefined
    );
  }
}

/** The fields of trailers, if there were any. */
export function trailersOf(fields: Fields, block: FieldBlock | undefined): Fields | undefined {
  return block === undefined ? undefined : fields.ofBlock(block);
}

/**
 * The head of a response at hand, whichever protocol it came in, and how it is sent on.
 */
import type { ResponseHead } from '#common/http1/response-head.ts';
import { hasNoBody } from '#common/http1/response-body.ts';
import { NAME } from '#common/http1/names.ts';
import { writeField, writeLineEnd, writeStatusLine, writeText } from '#common/http1/writer.ts';
import type { HeaderSource, HpackEncoder } from '#common/http2/hpack-encoder.ts';
import type { HttpMessage } from '#common/http2/http-message.ts';
import { Fields } from './fields.ts';
import { HEAD_SPARE_BYTES } from './limits.ts';
import type { Content } from './request.ts';

/** How the connection of the client goes on behind a response in HTTP/1. */
export interface Delivery {
  /** Of the client. */
  readonly minor: number;
  /** We end the connection behind it. */
  readonly closes: boolean;
}

export class Response implements HeaderSource {
  readonly fields = new Fields();
  status = 0;
  content: Content = 'none';
  /** Value of Upgrade in a 101; '' for none. */
  upgrade = '';
  #head: ResponseHead | undefined;
  #isToHead = false;

  /** `method` is that of the request. */
  ofHttp1(head: ResponseHead, method: string): void {
    const { framing } = head;
    this.#head = head;
    this.status = head.status;
    const isSized = framing.length >= 0 && !framing.chunked;
    if (hasNoBody(head.status, method) || framing.length === 0) this.content = 'none';
    else this.content = isSized ? 'sized' : 'open';
    this.upgrade = '';
    if (head.status === 101) {
      const i = head.fields.indexOf(NAME.upgrade);
      if (i >= 0) this.upgrade = head.fields.value(i);
    }
    this.fields.ofBlock(head.fields);
  }

  ofHttp2(message: HttpMessage, endStream: boolean, method: string): void {
    this.#head = undefined;
    this.#isToHead = method === 'HEAD';
    this.status = message.status;
    const isSized = message.length >= 0;
    if (endStream || hasNoBody(message.status, method)) this.content = 'none';
    else this.content = isSized ? 'sized' : 'open';
    this.upgrade = '';
    this.fields.ofHeaders(message.headers, message.first);
  }

  /** One of our own, with content of this length. */
  ofOwn(status: number, length: number): void {
    this.#head = undefined;
    this.#isToHead = false;
    this.status = status;
    this.content = length > 0 ? 'sized' : 'none';
    this.upgrade = '';
    this.fields.ofHeaders([], 0);
    if (status >= 200 && status !== 204) this.fields.append('content-length', String(length));
  }

  get headBytes(): number {
    return this.fields.lineBytes + HEAD_SPARE_BYTES;
  }

  /** Writes the whole head for HTTP/1; returns where it ends. */
  write(into: Buffer, at: number, { minor, closes }: Delivery): number {
    let end: number;
    if (this.#head === undefined) end = writeStatusLine(into, at, this.status);
    else end = this.#head.copyStatus(into, writeText(into, at, 'HTTP/1.1 '));
    end = this.fields.write(into, end);
    if (this.status < 200 && this.status !== 101) return writeLineEnd(into, end);
    if (this.upgrade !== '') {
      end = writeField(into, end, 'connection', 'upgrade');
      end = writeField(into, end, 'upgrade', this.upgrade);
      return writeLineEnd(into, end);
    }
    if (this.content === 'open' && minor === 1) {
      end = writeField(into, end, 'transfer-encoding', 'chunked');
    } else if (this.#mustSayNone()) end = writeField(into, end, 'content-length', '0');
    if (closes) end = writeField(into, end, 'connection', 'close');
    else if (minor === 0) end = writeField(into, end, 'connection', 'keep-alive');
    return writeLineEnd(into, end);
  }

  get mostBytes(): number {
    return this.fields.mostBytes + 64;
  }

  encode(encoder: HpackEncoder): void {
    encoder.status(this.status);
    this.fields.encode(encoder);
  }

  /** A response of HTTP/2 that ends with its head says no length. */
  #mustSayNone(): boolean {
    return (
      this.content === 'none' &&
      this.#head === undefined &&
      !this.#isToHead &&
      this.status !== 204 &&
      this.status !== 304 &&
      this.fields.get('content-length') === undefined
    );
  }
}

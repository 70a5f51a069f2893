/**
 * The connection of a client that speaks HTTP/1: one request at a time, in order.
 *
 * A request that comes before its predecessor is answered waits unread. Whatever makes the end of a
 * request uncertain (a fault, an answer before the whole content) ends the connection behind the
 * response; then what still comes is thrown away for a moment, so that the response is not lost.
 */
import type { BodyKind } from '#common/http1/body-reader.ts';
import type { Fault } from '#common/http1/fault.ts';
import type { FieldBlock } from '#common/http1/field-block.ts';
import { MessageReader } from '#common/http1/message-reader.ts';
import type { MessageSink } from '#common/http1/message-reader.ts';
import { RequestHead } from '#common/http1/request-head.ts';
import { Exchange } from './exchange.ts';
import type { Asker } from './exchange.ts';
import { Fields } from './fields.ts';
import { ownAnswer, writeOwn } from './own-answer.ts';
import type { OwnAnswer } from './own-answer.ts';
import { writeChunk, writeChunksEnd } from './chunks.ts';
import * as limits from './limits.ts';
import { Request, trailersOf } from './request.ts';
import { Response } from './response.ts';
import type { Caller } from './router.ts';
import type { Shared } from './shared.ts';
import type { Ticking } from './sweep.ts';
import type { Wire, WireOwner } from './wire.ts';

const LINGER_MS = 2000;

const NO_BODY: { readonly kind: BodyKind; readonly length: number } = { kind: 'none', length: 0 };
const CHUNKED: { readonly kind: BodyKind; readonly length: number } = {
  kind: 'chunked',
  length: 0,
};

export class Http1Server implements WireOwner, MessageSink, Asker, Ticking {
  readonly request = new Request();
  readonly caller: Caller;
  readonly #shared: Shared;
  readonly #wire: Wire;
  readonly #head = new RequestHead();
  readonly #reader = new MessageReader(this.#head, this);
  readonly #exchange: Exchange;
  readonly #trailers = new Fields();
  readonly #sized: { kind: BodyKind; length: number } = { kind: 'length', length: 0 };
  readonly #delivery = { minor: 1, closes: false };
  readonly #endsAt: number;
  /** The head that is being read is not over for its reader yet. */
  #isInHead = false;
  #isRequestOver = true;
  #isResponseOver = true;
  #isChunked = false;
  /** The head of the response has been written. */
  #hasBegun = false;
  #closes = false;
  #isHeld = false;
  #isTunnel = false;
  /** Since when nothing is read but the end; 0 when it is open. */
  #lingersSince = 0;
  #movedAt: number;
  #headSince = 0;
  #isFirst = true;
  /** The client sends no more. */
  #hasEnded = false;

  constructor(shared: Shared, wire: Wire, caller: Caller) {
    this.#shared = shared;
    this.#wire = wire;
    this.caller = caller;
    this.#exchange = new Exchange(shared, this);
    this.#movedAt = shared.loop.now;
    this.#endsAt = shared.loop.now + limits.MAX_AGE_MS * (1 + Math.random() / 10);
    wire.owner = this;
    shared.sweep.add(this);
    this.#reader.next();
  }

  onBytes(bytes: Buffer, from: number, to: number): void {
    if (this.#lingersSince > 0) return;
    this.#movedAt = this.#shared.loop.now;
    this.#reader.receive(bytes, from, to);
    if (this.#reader.isWaiting) this.#hold(true);
  }

  onHead(): { readonly kind: BodyKind; readonly length: number } {
    const { framing, minor } = this.#head;
    this.request.ofHttp1(this.#head);
    this.#closes = framing.close || (minor === 0 && !framing.keep);
    this.#delivery.minor = minor;
    this.#isRequestOver = false;
    this.#isResponseOver = false;
    this.#isFirst = false;
    this.#headSince = 0;
    this.#isInHead = true;
    this.#exchange.begin();
    this.#isInHead = false;
    if (this.request.content === 'none') return NO_BODY;
    if (this.#isResponseOver) this.#linger();
    if (framing.chunked) return CHUNKED;
    this.#sized.length = framing.length;
    return this.#sized;
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    this.#exchange.onRequestBody(bytes, from, to);
  }

  onMessageEnd(trailers: FieldBlock | undefined): void {
    this.#isRequestOver = true;
    this.#exchange.onRequestEnd(trailersOf(this.#trailers, trailers));
    if (this.#isResponseOver) this.#finish();
  }

  onFault({ status }: Fault): void {
    this.#shared.counters.add('badMessages');
    const mayAnswer = this.#isResponseOver || !this.#hasBegun;
    this.#exchange.onAskerGone();
    this.#closes = true;
    if (mayAnswer) this.#write(ownAnswer(status, 'REQUEST_INVALID'));
    this.#linger();
  }

  onEnd(): void {
    this.#hasEnded = true;
    if (this.#lingersSince > 0) {
      if (this.#wire.queued === 0) this.#wire.destroy(false);
      return;
    }
    if (this.#exchange.isIdle && this.#reader.isBetween) {
      this.#linger();
      return;
    }
    this.#closes = true;
    this.#reader.end();
  }

  onDrained(): void {
    this.#movedAt = this.#shared.loop.now;
    this.#exchange.onAskerDrained();
  }

  onClosed(): void {
    this.#shared.sweep.delete(this);
    this.#shared.counters.add('connectionsOpen', -1);
    this.#reader.stop();
    this.#exchange.onAskerGone();
  }

  sendInform(response: Response): void {
    if (this.#head.minor === 1) this.#writeHead(response);
  }

  sendHead(response: Response): void {
    const isOpen = response.content === 'open';
    const { minor } = this.#delivery;
    this.#isChunked = isOpen && minor === 1;
    if (isOpen && minor === 0) this.#closes = true;
    if (this.#shared.isDraining || this.#shared.loop.now > this.#endsAt) this.#closes = true;
    this.#hasBegun = true;
    this.#writeHead(response);
  }

  sendBody(bytes: Buffer, from: number, to: number): void {
    this.#movedAt = this.#shared.loop.now;
    if (this.#isChunked) writeChunk(this.#wire, bytes, from, to);
    else this.#wire.write(bytes, from, to);
  }

  sendEnd(trailers: Fields | undefined): void {
    if (this.#isTunnel) {
      this.#wire.endWrite();
      this.#isResponseOver = true;
      if (this.#isRequestOver) this.#linger();
      return;
    }
    if (this.#isChunked) writeChunksEnd(this.#wire, trailers);
    this.#endResponse();
  }

  sendOwn(answer: OwnAnswer): void {
    this.#write(answer);
    this.#endResponse();
  }

  cut(): void {
    this.#wire.destroy(true);
  }

  holdRequest(): void {
    this.#hold(true);
  }

  releaseRequest(): void {
    if (!this.#reader.isWaiting) this.#hold(false);
  }

  openTunnel(): void {
    this.#isTunnel = true;
    this.#isRequestOver = false;
    this.#reader.tunnel();
  }

  get isBlocked(): boolean {
    return this.#wire.blocked;
  }

  onTick(now: number): void {
    if (this.#lingersSince > 0) {
      const isOver = this.#hasEnded || now - this.#lingersSince >= LINGER_MS;
      if (isOver && this.#wire.queued === 0) this.#wire.destroy(false);
      else if (now - this.#movedAt >= limits.STALL_TIMEOUT_MS) this.#wire.destroy(true);
      return;
    }
    const idleMs = now - this.#movedAt;
    if (this.#exchange.isIdle) this.#tickIdle(now, idleMs);
    else if (!this.#isTunnel && (this.#wire.queued > 0 || !this.#isRequestOver) && !this.#isHeld) {
      if (idleMs < limits.STALL_TIMEOUT_MS) return;
      this.#shared.counters.add('timeouts');
      this.#wire.destroy(true);
    }
  }

  /** Between requests, or in the middle of a head. */
  #tickIdle(now: number, idleMs: number): void {
    if (this.#reader.isInHead && this.#reader.kept > 0) {
      if (this.#headSince === 0) this.#headSince = now;
      if (now - this.#headSince < limits.HEAD_TIMEOUT_MS) return;
      this.#shared.counters.add('timeouts');
      this.#delivery.minor = 1;
      this.#closes = true;
      this.#write(ownAnswer(408, 'REQUEST_TIMEOUT'));
      this.#linger();
      return;
    }
    this.#headSince = 0;
    const limit = this.#isFirst ? limits.HEAD_TIMEOUT_MS : limits.IDLE_TIMEOUT_MS;
    const isOver = this.#shared.isDraining || now > this.#endsAt || idleMs >= limit;
    if (isOver && this.#wire.queued === 0) this.#wire.destroy(false);
  }

  #writeHead(response: Response): void {
    this.#delivery.closes = this.#closes;
    const at = this.#wire.reserve(response.headBytes);
    this.#wire.commit(response.write(this.#wire.bytes, at, this.#delivery) - at);
  }

  #write(answer: OwnAnswer): void {
    const response = new Response();
    const content = writeOwn(response, answer, this.request.isGrpc);
    // Content that has not come yet would be taken for the next request.
    if (this.#isInHead && this.request.content !== 'none') this.#closes = true;
    this.#isChunked = false;
    this.#writeHead(response);
    if (content === '' || this.request.method === 'HEAD') return;
    const bytes = Buffer.from(content, 'latin1');
    this.#wire.write(bytes, 0, bytes.length);
  }

  #endResponse(): void {
    this.#isResponseOver = true;
    this.#hasBegun = false;
    this.#movedAt = this.#shared.loop.now;
    if (this.#isInHead) return;
    if (this.#isRequestOver) this.#finish();
    else this.#linger();
  }

  /** Both directions of a request are complete. */
  #finish(): void {
    if (this.#closes || this.#isTunnel) {
      this.#linger();
      return;
    }
    this.#reader.next();
    if (!this.#reader.isWaiting) this.#hold(false);
  }

  /** Says that it was all, and waits a moment for the client to have read it. */
  #linger(): void {
    if (this.#lingersSince > 0) return;
    this.#lingersSince = Math.max(1, this.#shared.loop.now);
    this.#reader.stop();
    this.#wire.endWrite();
    if (this.#hasEnded && this.#wire.queued === 0) this.#wire.destroy(false);
    else this.#hold(false);
  }

  #hold(isHeld: boolean): void {
    if (this.#isHeld === isHeld) return;
    this.#isHeld = isHeld;
    if (isHeld) this.#wire.hold();
    else this.#wire.release();
  }
}

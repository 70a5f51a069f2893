/**
 * The connection of a client that speaks HTTP/2 with prior knowledge, and one request in it.
 *
 * The session bounds what a client can make us do (`common/http2/limits.ts`); a request that breaks a
 * rule costs its stream. At its age, or when the worker drains, the connection takes no new streams.
 */
import { MeshError } from '#common/errors.ts';
import { HboneSession } from '#common/hbone/session.ts';
import type { SessionOwner } from '#common/hbone/session.ts';
import type { Stream, StreamOwner } from '#common/hbone/stream.ts';
import { CODE } from '#common/http2/frames.ts';
import type { HttpMessage } from '#common/http2/http-message.ts';
import { MAX_BLOCK_SENT } from '#common/http2/limits.ts';
import type { Header } from '#common/http2/static-table.ts';
import { Exchange } from './exchange.ts';
import type { Asker } from './exchange.ts';
import { Fields } from './fields.ts';
import * as limits from './limits.ts';
import { ownAnswer, writeOwn } from './own-answer.ts';
import type { OwnAnswer } from './own-answer.ts';
import { Request } from './request.ts';
import { Response } from './response.ts';
import type { Caller } from './router.ts';
import type { Shared } from './shared.ts';
import { StreamOutput } from './stream-output.ts';
import type { Ticking } from './sweep.ts';
import { copyOf } from './trailers.ts';
import type { Wire, WireOwner } from './wire.ts';

export class Http2Server implements WireOwner, SessionOwner, Ticking {
  readonly shared: Shared;
  readonly wire: Wire;
  readonly caller: Caller;
  readonly #session: HboneSession;
  readonly #endsAt: number;
  #idleSince: number;
  #goesAway = false;

  constructor(shared: Shared, wire: Wire, caller: Caller) {
    this.shared = shared;
    this.wire = wire;
    this.caller = caller;
    const { loop } = shared;
    this.#idleSince = loop.now;
    this.#endsAt = loop.now + limits.MAX_AGE_MS * (1 + Math.random() / 10);
    wire.owner = this;
    const now = (): number => loop.now;
    this.#session = new HboneSession({
      role: 'server',
      outlet: wire,
      owner: this,
      now,
      carries: 'requests',
      limits: { maxStreams: limits.MAX_STREAMS },
    });
    shared.sweep.add(this);
    this.#session.start();
  }

  onBytes(bytes: Buffer, from: number, to: number): void {
    this.#session.receive(bytes, from, to);
  }

  onEnd(): void {
    this.wire.destroy(false);
  }

  onDrained(): void {
    this.#session.onWritable();
  }

  onClosed(error: MeshError | undefined): void {
    this.shared.sweep.delete(this);
    this.shared.counters.add('connectionsOpen', -1);
    this.#session.lost(
      error ?? new MeshError('CONNECT_FAILED', 'Cannot go on: the client has ended'),
    );
  }

  onTick(now: number): void {
    this.#session.onTimer(now);
    if (this.wire.closed) return;
    if (this.#session.streams > 0) this.#idleSince = now;
    const isIdle = now - this.#idleSince >= limits.IDLE_TIMEOUT_MS;
    if ((isIdle || now > this.#endsAt || this.shared.isDraining) && !this.#goesAway) {
      this.#goesAway = true;
      this.#session.goAway();
    }
    if (this.#goesAway && this.#session.streams === 0 && now - this.#idleSince >= limits.TICK_MS) {
      this.onError();
    }
  }

  onReady(): void {
    // Requests may follow.
  }

  onRequest(): void {
    // Of tunnels.
  }

  onMessage(stream: Stream, message: HttpMessage, endStream: boolean): void {
    new Http2Asker(this, stream).begin(message, endStream);
  }

  onGoAway(): void {
    // It opens no more streams; those that are open go on.
  }

  onIdle(): void {
    this.#idleSince = this.shared.loop.now;
  }

  onError(): void {
    this.wire.endWrite();
    this.wire.destroy(false);
  }
}

class Http2Asker implements Asker, StreamOwner {
  readonly request = new Request();
  readonly caller: Caller;
  readonly #stream: Stream;
  readonly #output: StreamOutput;
  readonly #exchange: Exchange;
  #trailers: Fields | undefined;
  #isHeld = false;
  #owed = 0;
  #wasBlocked = false;
  #isRequestOver = false;

  constructor(server: Http2Server, stream: Stream) {
    this.caller = server.caller;
    this.#stream = stream;
    this.#output = new StreamOutput(stream, server.wire);
    this.#exchange = new Exchange(server.shared, this);
    stream.owner = this;
  }

  begin(message: HttpMessage, endStream: boolean): void {
    this.request.ofHttp2(message, endStream);
    this.#exchange.begin();
  }

  sendInform(response: Response): void {
    if (response.mostBytes <= MAX_BLOCK_SENT) this.#stream.sendHeaders('inform', response, false);
  }

  sendHead(response: Response): void {
    if (response.mostBytes <= MAX_BLOCK_SENT) {
      this.#stream.sendHeaders('final', response, response.content === 'none');
      return;
    }
    this.#exchange.onAskerGone();
    this.sendOwn(ownAnswer(502, 'LIMIT_REACHED'));
  }

  sendBody(bytes: Buffer, from: number, to: number): void {
    this.#output.write(bytes, from, to);
  }

  sendEnd(trailers: Fields | undefined): void {
    this.#output.end(trailers === undefined ? undefined : copyOf(trailers));
    this.#letGo();
  }

  sendOwn(answer: OwnAnswer): void {
    const response = new Response();
    const content = writeOwn(response, answer, this.request.isGrpc);
    this.#stream.sendHeaders('final', response, content === '' || this.request.method === 'HEAD');
    const bytes = Buffer.from(content, 'latin1');
    if (bytes.length > 0) this.#output.write(bytes, 0, bytes.length);
    this.sendEnd(undefined);
  }

  cut(): void {
    this.#output.clear();
    this.#stream.reset(CODE.internalError);
  }

  holdRequest(): void {
    this.#isHeld = true;
  }

  releaseRequest(): void {
    this.#isHeld = false;
    const owed = this.#owed;
    this.#owed = 0;
    if (owed > 0) this.#stream.consumed(owed);
  }

  openTunnel(): void {
    // Never: HTTP/2 has no 101.
  }

  get isBlocked(): boolean {
    if (this.#output.queued <= limits.HIGH_WATER_BYTES) return false;
    this.#wasBlocked = true;
    return true;
  }

  onResponse(): void {
    // Of a client.
  }

  onTrailers(fields: readonly Header[]): void {
    this.#trailers = new Fields().ofHeaders(fields, 0);
  }

  onData(bytes: Buffer, from: number, to: number): void {
    this.#exchange.onRequestBody(bytes, from, to);
    if (this.#isHeld) this.#owed += to - from;
    else this.#stream.consumed(to - from);
  }

  onEnd(): void {
    this.#isRequestOver = true;
    // What is held is on its way, and would stay booked at the connection otherwise.
    this.releaseRequest();
    this.#exchange.onRequestEnd(this.#trailers);
  }

  onReset(): void {
    this.#gone();
  }

  onLost(): void {
    this.#gone();
  }

  onSendRoom(): void {
    this.#output.drain();
    this.#letGo();
    if (!this.#wasBlocked || this.#output.queued >= limits.LOW_WATER_BYTES) return;
    this.#wasBlocked = false;
    this.#exchange.onAskerDrained();
  }

  #gone(): void {
    this.#output.clear();
    this.#exchange.onAskerGone();
  }

  /** The response has left whole: the rest of the request is of no use (RFC 9113 section 8.1). */
  #letGo(): void {
    if (this.#stream.localEnded && !this.#isRequestOver && this.request.content !== 'none') {
      this.#stream.reset(CODE.noError);
    }
  }
}

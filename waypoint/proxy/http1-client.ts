/**
 * A connection to an endpoint that speaks HTTP/1.1, for one request at a time.
 *
 * It goes back to its pool only when request and response were both complete and nothing stood behind
 * the response; bytes that come without a request end it, since they could be taken for the answer to
 * the next one. Endpoints give up connections that are not used: a request without content that may be
 * repeated, sent on a connection that had been used before and ended without a byte, is sent once
 * more on a new one.
 */
import { MeshError } from '#common/errors.ts';
import type { Fault } from '#common/http1/fault.ts';
import type { FieldBlock } from '#common/http1/field-block.ts';
import { MessageReader } from '#common/http1/message-reader.ts';
import type { MessageSink } from '#common/http1/message-reader.ts';
import { responseBody } from '#common/http1/response-body.ts';
import type { ExpectedBody } from '#common/http1/response-body.ts';
import { ResponseHead } from '#common/http1/response-head.ts';
import { writeChunk, writeChunksEnd } from './chunks.ts';
import type { Answerer, Exchange } from './exchange.ts';
import { Fields } from './fields.ts';
import type { Lane } from './lane.ts';
import * as limits from './limits.ts';
import { trailersOf } from './request.ts';
import type { Request } from './request.ts';
import { Response } from './response.ts';
import type { Shared } from './shared.ts';
import type { Ticking } from './sweep.ts';
import type { Wire, WireOwner } from './wire.ts';

const SMALLEST_COPY = 1024;

export class Http1Client implements WireOwner, MessageSink, Answerer, Ticking {
  readonly #shared: Shared;
  readonly #lane: Lane;
  readonly #wire: Wire;
  readonly #head = new ResponseHead();
  readonly #reader = new MessageReader(this.#head, this);
  readonly #response = new Response();
  readonly #trailers = new Fields();
  #exchange: Exchange | undefined;
  #method = '';
  #isReused = false;
  #isRequestOver = false;
  #isChunked = false;
  #hasUpgrade = false;
  #isTunnel = false;
  #hasBytes = false;
  #mayKeep = false;
  #movedAt: number;
  /** The head as it was sent, while it may be sent again. */
  #copy: Buffer | undefined;
  #copied = 0;

  /** Begins to connect; undefined when that cannot even begin. */
  static open(shared: Shared, lane: Lane): Http1Client | undefined {
    let made: Http1Client | undefined;
    const wire = shared.dial(lane.to, lane.source, {
      onBytes: (bytes, from, to) => made?.onBytes(bytes, from, to),
      onEnd: () => made?.onEnd(),
      onDrained: () => made?.onDrained(),
      onClosed: (error) => made?.onClosed(error),
    });
    if (wire === undefined) return undefined;
    made = new Http1Client(shared, lane, wire);
    return made;
  }

  constructor(shared: Shared, lane: Lane, wire: Wire) {
    this.#shared = shared;
    this.#lane = lane;
    this.#wire = wire;
    this.#movedAt = shared.loop.now;
    wire.owner = this;
    shared.sweep.add(this);
    shared.counters.add('upstreamsOpened');
    shared.counters.add('upstreamsOpen');
  }

  /** Takes the place of the side that answers. */
  begin(exchange: Exchange, isReused: boolean): void {
    this.#exchange = exchange;
    this.#isReused = isReused;
    this.#isRequestOver = false;
    this.#hasBytes = false;
    this.#copied = 0;
    this.#reader.next();
  }

  sendHead(request: Request): void {
    this.#method = request.method;
    this.#isChunked = request.content === 'open';
    this.#hasUpgrade = request.upgrade !== '';
    const at = this.#wire.reserve(request.headBytes);
    const end = request.write(this.#wire.bytes, at);
    if (this.#isReused && request.isRepeatable) this.#keep(this.#wire.bytes, at, end);
    this.#wire.commit(end - at);
  }

  sendBody(bytes: Buffer, from: number, to: number): void {
    this.#movedAt = this.#shared.loop.now;
    if (this.#isChunked) writeChunk(this.#wire, bytes, from, to);
    else this.#wire.write(bytes, from, to);
  }

  sendEnd(trailers: Fields | undefined): void {
    this.#isRequestOver = true;
    if (this.#isTunnel) {
      this.#wire.endWrite();
      if (this.#exchange === undefined) this.#wire.destroy(false);
      return;
    }
    if (this.#isChunked) writeChunksEnd(this.#wire, trailers);
  }

  cut(): void {
    this.#exchange = undefined;
    this.#reader.stop();
    this.#wire.destroy(true);
  }

  holdResponse(): void {
    this.#wire.hold();
  }

  releaseResponse(): void {
    this.#wire.release();
  }

  openTunnel(): void {
    this.#isTunnel = true;
    this.#reader.tunnel();
  }

  get isBlocked(): boolean {
    return this.#wire.blocked;
  }

  onBytes(bytes: Buffer, from: number, to: number): void {
    this.#movedAt = this.#shared.loop.now;
    if (this.#exchange === undefined) {
      this.#wire.destroy(true);
      return;
    }
    this.#hasBytes = true;
    this.#reader.receive(bytes, from, to);
  }

  onHead(): ExpectedBody | undefined {
    const head = this.#head;
    const { status, framing } = head;
    const response = this.#response;
    response.ofHttp1(head, this.#method);
    if (status === 101) {
      if (this.#hasUpgrade) this.#exchange?.onResponseHead(response);
      else this.#fail(broken('101 that nobody has asked for'));
      return undefined;
    }
    if (status < 200) {
      this.#exchange?.onInform(response);
      return undefined;
    }
    const body = responseBody(head, this.#method);
    const isKept = !framing.close && (head.minor === 1 || framing.keep);
    this.#mayKeep = isKept && body.kind !== 'close';
    this.#exchange?.onResponseHead(response);
    return body;
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    this.#exchange?.onResponseBody(bytes, from, to);
  }

  onMessageEnd(trailers: FieldBlock | undefined): void {
    const exchange = this.#exchange;
    if (this.#isTunnel) {
      exchange?.onResponseEnd(undefined);
      if (this.#isRequestOver) this.#wire.destroy(false);
      return;
    }
    this.#exchange = undefined;
    // Back before the client hears of it: its next request may come within that call.
    const isWhole = this.#mayKeep && this.#isRequestOver && this.#reader.behind === 0;
    const mayKeep = isWhole && this.#lane.giveBack(this);
    if (mayKeep) this.#wire.release();
    exchange?.onResponseEnd(trailersOf(this.#trailers, trailers));
    if (!mayKeep) this.#wire.destroy(false);
  }

  onFault({ found }: Fault): void {
    this.#fail(broken(found));
  }

  onEnd(): void {
    if (this.#exchange === undefined) {
      this.#wire.destroy(false);
      return;
    }
    // An end within a message is a fault, which `onFault` has told by then.
    if (this.#reader.end() && !this.#isTunnel) this.#fail(ended());
  }

  onDrained(): void {
    this.#movedAt = this.#shared.loop.now;
    this.#exchange?.onAnswererDrained();
  }

  onClosed(error: MeshError | undefined): void {
    this.#shared.sweep.delete(this);
    this.#shared.counters.add('upstreamsOpen', -1);
    this.#lane.remove(this);
    this.#fail(error);
  }

  onTick(now: number): void {
    const idleMs = now - this.#movedAt;
    if (this.#exchange === undefined) {
      if (idleMs >= limits.UPSTREAM_IDLE_MS || this.#shared.isDraining) this.#wire.destroy(false);
    } else if (this.#wire.queued > 0 && idleMs >= limits.STALL_TIMEOUT_MS) {
      this.#wire.destroy(true);
    }
  }

  /** Sends a head once more that another connection has sent in vain. */
  repeat(method: string, head: Buffer, length: number): void {
    this.#method = method;
    this.#isChunked = false;
    this.#hasUpgrade = false;
    this.#isRequestOver = true;
    this.#wire.write(head, 0, length);
  }

  #fail(error: MeshError | undefined): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#reader.stop();
    if (!this.#wire.closed) this.#wire.destroy(true);
    if (exchange === undefined) return;
    const copy = this.#copy;
    if (copy !== undefined && this.#copied > 0 && !this.#hasBytes) {
      const fresh = this.#lane.fresh(exchange);
      if (fresh !== undefined) {
        fresh.repeat(this.#method, copy, this.#copied);
        exchange.onReplaced(fresh);
        return;
      }
    }
    this.#shared.counters.add('upstreamsFailed');
    exchange.onAnswererFailed(error);
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    let copy = this.#copy;
    if (copy === undefined || copy.length < to - from) {
      copy = Buffer.allocUnsafeSlow(Math.max(SMALLEST_COPY, to - from));
      this.#copy = copy;
    }
    this.#copied = bytes.copy(copy, 0, from, to);
  }
}

function broken(found: string): MeshError {
  return new MeshError('HTTP1_PROTOCOL_ERROR', `Cannot read a response: ${found}`);
}

function ended(): MeshError {
  return new MeshError('CONNECT_FAILED', 'Cannot read a response: the connection has ended');
}

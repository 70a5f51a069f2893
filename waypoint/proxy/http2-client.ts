/**
 * A connection to an endpoint that speaks HTTP/2 with prior knowledge, and one request in it.
 */
import { MeshError } from '#common/errors.ts';
import { HboneSession } from '#common/hbone/session.ts';
import type { SessionOwner } from '#common/hbone/session.ts';
import type { Stream, StreamOwner } from '#common/hbone/stream.ts';
import { CODE, codeName } from '#common/http2/frames.ts';
import type { HttpMessage } from '#common/http2/http-message.ts';
import { MAX_BLOCK_SENT } from '#common/http2/limits.ts';
import type { Header } from '#common/http2/static-table.ts';
import type { Answerer, Exchange } from './exchange.ts';
import { Fields } from './fields.ts';
import type { Lane } from './lane.ts';
import * as limits from './limits.ts';
import type { Request } from './request.ts';
import { Response } from './response.ts';
import type { Shared } from './shared.ts';
import { StreamOutput } from './stream-output.ts';
import type { Ticking } from './sweep.ts';
import { copyOf } from './trailers.ts';
import type { Wire, WireOwner } from './wire.ts';

export class Http2Client implements WireOwner, SessionOwner, Ticking {
  readonly shared: Shared;
  readonly wire: Wire;
  readonly session: HboneSession;
  readonly #lane: Lane;
  #idleSince: number;
  #isRetired = false;

  /** Begins to connect; undefined when that cannot even begin. */
  static open(shared: Shared, lane: Lane): Http2Client | undefined {
    let made: Http2Client | undefined;
    const wire = shared.dial(lane.to, lane.source, {
      onBytes: (bytes, from, to) => made?.onBytes(bytes, from, to),
      onEnd: () => made?.onEnd(),
      onDrained: () => made?.onDrained(),
      onClosed: (error) => made?.onClosed(error),
    });
    if (wire === undefined) return undefined;
    made = new Http2Client(shared, lane, wire);
    return made;
  }

  constructor(shared: Shared, lane: Lane, wire: Wire) {
    this.shared = shared;
    this.#lane = lane;
    this.wire = wire;
    this.#idleSince = shared.loop.now;
    wire.owner = this;
    const now = (): number => shared.loop.now;
    this.session = new HboneSession({
      role: 'client',
      outlet: wire,
      owner: this,
      now,
      carries: 'requests',
    });
    shared.sweep.add(this);
    shared.counters.add('upstreamsOpened');
    shared.counters.add('upstreamsOpen');
    this.session.start();
  }

  /** Another request; undefined when this session takes no more now. */
  take(exchange: Exchange): Answerer | undefined {
    return this.session.canOpen() ? new Http2Answerer(this, exchange) : undefined;
  }

  onBytes(bytes: Buffer, from: number, to: number): void {
    this.session.receive(bytes, from, to);
  }

  onEnd(): void {
    this.wire.destroy(false);
  }

  onDrained(): void {
    this.session.onWritable();
  }

  onClosed(error: MeshError | undefined): void {
    this.shared.sweep.delete(this);
    this.shared.counters.add('upstreamsOpen', -1);
    this.#lane.remove(this);
    this.session.lost(
      error ?? new MeshError('CONNECT_FAILED', 'Cannot go on: the endpoint has ended'),
    );
  }

  onTick(now: number): void {
    this.session.onTimer(now);
    if (this.session.streams > 0) this.#idleSince = now;
    const isOver = this.#isRetired || this.shared.isDraining;
    if (
      now - this.#idleSince >= limits.UPSTREAM_IDLE_MS ||
      (isOver && this.session.streams === 0)
    ) {
      this.session.close(new MeshError('STOPPING', 'Cannot go on: the connection is not used'));
      this.wire.endWrite();
      this.wire.destroy(false);
    }
  }

  onReady(): void {
    // Requests may be under way already.
  }

  onRequest(): void {
    // A client gets none.
  }

  onGoAway(): void {
    this.#isRetired = true;
    this.#lane.retire(this);
  }

  onIdle(): void {
    this.#idleSince = this.shared.loop.now;
  }

  onError(): void {
    this.wire.endWrite();
    this.wire.destroy(false);
  }
}

class Http2Answerer implements Answerer, StreamOwner {
  readonly #client: Http2Client;
  readonly #response = new Response();
  #exchange: Exchange | undefined;
  #stream: Stream | undefined;
  #output: StreamOutput | undefined;
  #trailers: Fields | undefined;
  #isHeld = false;
  #owed = 0;
  #wasBlocked = false;

  constructor(client: Http2Client, exchange: Exchange) {
    this.#client = client;
    this.#exchange = exchange;
  }

  sendHead(request: Request): void {
    const { session, wire } = this.#client;
    if (request.mostBytes > MAX_BLOCK_SENT || !session.canOpen()) {
      this.#fail(new MeshError('LIMIT_REACHED', 'Cannot send a request: its fields are too long'));
      return;
    }
    const stream = session.openRequest(request, request.content === 'none');
    stream.owner = this;
    this.#stream = stream;
    this.#output = new StreamOutput(stream, wire);
  }

  sendBody(bytes: Buffer, from: number, to: number): void {
    this.#output?.write(bytes, from, to);
  }

  sendEnd(trailers: Fields | undefined): void {
    this.#output?.end(trailers === undefined ? undefined : copyOf(trailers));
  }

  cut(): void {
    this.#exchange = undefined;
    this.#stream?.reset(CODE.cancel);
    this.#output?.clear();
  }

  holdResponse(): void {
    this.#isHeld = true;
  }

  releaseResponse(): void {
    this.#isHeld = false;
    const owed = this.#owed;
    this.#owed = 0;
    if (owed > 0) this.#stream?.consumed(owed);
  }

  openTunnel(): void {
    // Never: HTTP/2 has no 101.
  }

  get isBlocked(): boolean {
    if ((this.#output?.queued ?? 0) <= limits.HIGH_WATER_BYTES) return false;
    this.#wasBlocked = true;
    return true;
  }

  onResponse(): void {
    // Of tunnels.
  }

  onHead(message: HttpMessage, endStream: boolean): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#response.ofHttp2(message, endStream, exchange.method);
    if (message.status < 200) exchange.onInform(this.#response);
    else exchange.onResponseHead(this.#response);
  }

  onTrailers(fields: readonly Header[]): void {
    this.#trailers = new Fields().ofHeaders(fields, 0);
  }

  onData(bytes: Buffer, from: number, to: number): void {
    this.#exchange?.onResponseBody(bytes, from, to);
    if (this.#isHeld) this.#owed += to - from;
    else this.#stream?.consumed(to - from);
  }

  onEnd(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    // Nobody will release it any more, and the bytes would stay booked at the connection.
    this.releaseResponse();
    exchange?.onResponseEnd(this.#trailers);
  }

  onReset(code: number): void {
    this.#fail(new MeshError('CONNECT_FAILED', `Cannot go on: reset (${codeName(code)})`));
  }

  onLost(error: MeshError): void {
    this.#fail(error);
  }

  onSendRoom(): void {
    const output = this.#output;
    output?.drain();
    if (output === undefined || !this.#wasBlocked) return;
    if (output.queued >= limits.LOW_WATER_BYTES) return;
    this.#wasBlocked = false;
    this.#exchange?.onAnswererDrained();
  }

  #fail(error: MeshError): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#output?.clear();
    if (exchange === undefined) return;
    this.#client.shared.counters.add('upstreamsFailed');
    exchange.onAnswererFailed(error);
  }
}

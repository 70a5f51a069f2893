/**
 * The streams of one session, and what the peer's frames mean for them (RFC 9113 section 5.1).
 *
 * A fault of one stream costs that stream and is counted; a fault that could only come from a broken
 * or hostile peer is thrown and costs the session. Frames for a stream that we have reset are
 * expected for a while and dropped. The number of streams is bounded: by our limit in a server, by
 * the peer's in a client.
 */
import * as limits from '../http2/limits.ts';
import { http2Fault } from '../http2/fault.ts';
import { CODE, LARGEST_STREAM_ID, LARGEST_WINDOW } from '../http2/frames.ts';
import { readHttpMessage, type HttpMessage } from '../http2/http-message.ts';
import { readMessage } from '../http2/message.ts';
import type { Header } from '../http2/static-table.ts';
import { EndedStreams } from './ended-streams.ts';
import type { Guards } from './guards.ts';
import { readRequest, readResponse, type ConnectRequest, type InvalidRequest } from './headers.ts';
import { OpenStream, type Ending, type StreamHost } from './open-stream.ts';
import type { StreamTableState } from './session-state.ts';

export type Role = 'client' | 'server';

export interface TableDeps {
  readonly role: Role;
  readonly maxStreams: number;
  readonly host: StreamHost;
  readonly guards: Guards;
  /**
   * The session carries ordinary requests, and one came (server). Absent: it carries tunnels, and
   * `onRequest` is told.
   */
  readonly onMessage?: (stream: OpenStream, message: HttpMessage, endStream: boolean) => void;
  /** A request came (server). */
  readonly onRequest: (stream: OpenStream, request: ConnectRequest | InvalidRequest) => void;
}

export class StreamTable {
  readonly #deps: TableDeps;
  readonly #streams = new Map<number, OpenStream>();
  readonly #ended = new EndedStreams();
  /** The largest id that the peer has used, and the largest that it may use. */
  #lastPeerId = 0;
  #lastAllowed = LARGEST_STREAM_ID;
  #nextOwnId = 1;

  constructor(deps: TableDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#streams.size;
  }

  get lastPeerId(): number {
    return this.#lastPeerId;
  }

  /** Whether this client has ids left for more streams. */
  get hasIds(): boolean {
    return this.#nextOwnId < LARGEST_STREAM_ID;
  }

  all(): OpenStream[] {
    return Array.from(this.#streams.values());
  }

  find(id: number): OpenStream | undefined {
    return this.#streams.get(id);
  }

  state(): StreamTableState {
    return {
      lastPeerId: this.#lastPeerId,
      lastAllowed: this.#lastAllowed,
      nextOwnId: this.#nextOwnId,
      ended: this.#ended.state(),
      streams: this.all().map((stream) => stream.state()),
    };
  }

  restore(state: StreamTableState): void {
    this.#lastPeerId = state.lastPeerId;
    this.#lastAllowed = state.lastAllowed;
    this.#nextOwnId = state.nextOwnId;
    for (const [id, how] of state.ended) this.#ended.remember(id, how);
    for (const one of state.streams) {
      this.#streams.set(one.id, OpenStream.restored(one, this.#deps.host));
    }
  }

  /** Makes the next stream of a client. */
  add(): OpenStream {
    const stream = new OpenStream(this.#nextOwnId, this.#deps.host);
    this.#nextOwnId += 2;
    this.#streams.set(stream.id, stream);
    return stream;
  }

  remove(stream: OpenStream, how: Ending): void {
    this.#streams.delete(stream.id);
    this.#ended.remember(stream.id, how);
  }

  /** Refuses every request from now on. */
  refuseNew(): void {
    this.#lastAllowed = this.#lastPeerId;
  }

  /** Forgets all streams and returns them. */
  clear(): OpenStream[] {
    const streams = this.all();
    this.#streams.clear();
    return streams;
  }

  /** Takes a whole header list; `selfDependent` is a fault of its stream. */
  onHeaders(id: number, headers: readonly Header[], endStream: boolean, fault: boolean): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) this.#onFirstHeaders(id, headers, endStream, fault);
    else if (fault) this.fault(stream, CODE.protocolError);
    else if (stream.remoteEnded) this.fault(stream, CODE.streamClosed);
    else if (stream.answered || this.#deps.role === 'server') {
      if (this.#deps.onMessage === undefined) this.fault(stream, CODE.protocolError);
      else this.#onTrailers(stream, headers, endStream);
    } else if (this.#deps.onMessage !== undefined) this.#onHead(stream, headers, endStream);
    else this.#onResponse(stream, headers, endStream);
  }

  /** DATA for a stream that is not open. */
  onStrayData(id: number): void {
    this.#mustHaveBeen(id, 'DATA');
    const ending = this.#ended.endingOf(id);
    if (ending === 'reset') return;
    if (ending === 'ended') throw http2Fault(CODE.streamClosed, `DATA on ended stream ${id}`);
    this.#refuse(id, CODE.streamClosed);
  }

  onReset(id: number, code: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#mustHaveBeen(id, 'RST_STREAM');
      this.#deps.guards.count('idleFrames');
      return;
    }
    if (this.#deps.role === 'server' && !stream.answered) this.#deps.guards.count('earlyResets');
    stream.resetByPeer(code);
  }

  onWindowUpdate(id: number, increment: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#mustHaveBeen(id, 'WINDOW_UPDATE');
      return;
    }
    if (increment === 0) this.fault(stream, CODE.protocolError);
    else if (!this.#widen(stream, increment)) this.fault(stream, CODE.flowControlError);
  }

  /** The peer has changed the window that every stream starts with; false when one overflows. */
  widenAll(delta: number): boolean {
    return this.all().every((stream) => this.#widen(stream, delta));
  }

  /** PRIORITY means nothing to us, but it may not be wrong. */
  onPriority(id: number, parent: number): void {
    if (parent !== id) return;
    const stream = this.#streams.get(id);
    if (stream === undefined) throw http2Fault(CODE.protocolError, 'PRIORITY on itself');
    this.fault(stream, CODE.protocolError);
  }

  /** Streams that the peer's GOAWAY says it will not serve. */
  onGoaway(lastStream: number): void {
    if (this.#deps.role === 'server') return;
    for (const stream of this.all()) {
      if (stream.id > lastStream) stream.resetByPeer(CODE.refusedStream);
    }
  }

  /** Resets a stream for a fault of the peer's, which counts. */
  fault(stream: OpenStream, code: number): void {
    this.#deps.guards.count('provokedResets');
    stream.fault(code);
  }

  #onFirstHeaders(id: number, headers: readonly Header[], end: boolean, fault: boolean): void {
    if (this.#deps.role === 'server' && id % 2 === 1 && id > this.#lastPeerId) {
      this.#lastPeerId = id;
      if (fault) this.#refuse(id, CODE.protocolError);
      else this.#onRequest(id, headers, end);
      return;
    }
    const ending = this.#ended.endingOf(id);
    if (ending === 'reset') {
      this.#deps.guards.count('idleFrames');
      return;
    }
    if (ending === undefined) throw http2Fault(CODE.protocolError, `HEADERS on stream ${id}`);
    if (ending === 'ended') throw http2Fault(CODE.streamClosed, `HEADERS on ended stream ${id}`);
    this.#refuse(id, CODE.streamClosed);
  }

  #onRequest(id: number, headers: readonly Header[], endStream: boolean): void {
    if (id > this.#lastAllowed || this.#streams.size >= this.#deps.maxStreams) {
      this.#refuse(id, CODE.refusedStream);
      return;
    }
    if (this.#deps.onMessage !== undefined) {
      this.#onHttpRequest(id, headers, endStream);
      return;
    }
    const message = readMessage(headers, 'request');
    if (typeof message === 'string') {
      this.#refuse(id, CODE.protocolError);
      return;
    }
    const stream = new OpenStream(id, this.#deps.host);
    stream.endsAtOnce = endStream;
    this.#streams.set(id, stream);
    this.#deps.onRequest(stream, readRequest(message));
    if (endStream) stream.endRemote();
  }

  #onHttpRequest(id: number, headers: readonly Header[], endStream: boolean): void {
    const message = readHttpMessage(headers, 'request');
    if (typeof message === 'string' || (endStream && message.length > 0)) {
      this.#refuse(id, CODE.protocolError);
      return;
    }
    const stream = new OpenStream(id, this.#deps.host);
    stream.endsAtOnce = endStream;
    stream.contentLeft = message.length;
    this.#streams.set(id, stream);
    this.#deps.onMessage?.(stream, message, endStream);
    if (endStream) stream.endRemote();
  }

  /** A response of HTTP, or one that only informs. */
  #onHead(stream: OpenStream, headers: readonly Header[], endStream: boolean): void {
    const message = readHttpMessage(headers, 'response');
    if (typeof message === 'string' || (message.status < 200 && endStream)) {
      this.fault(stream, CODE.protocolError);
      return;
    }
    if (message.status < 200) {
      this.#deps.guards.count('idleFrames');
      stream.owner?.onHead?.(message, false);
      return;
    }
    stream.answered = true;
    // What ends here may speak of a length that was not sent: HEAD and 304 do.
    if (!endStream) stream.contentLeft = message.length;
    stream.owner?.onHead?.(message, endStream);
    if (endStream) stream.endRemote();
  }

  #onTrailers(stream: OpenStream, headers: readonly Header[], endStream: boolean): void {
    const message = endStream ? readHttpMessage(headers, 'trailers') : 'no end';
    if (typeof message === 'string') {
      this.fault(stream, CODE.protocolError);
      return;
    }
    if (stream.contentLeft <= 0) stream.owner?.onTrailers?.(message.headers);
    stream.endRemote();
  }

  #onResponse(stream: OpenStream, headers: readonly Header[], endStream: boolean): void {
    const message = readMessage(headers, 'response');
    const status = typeof message === 'string' ? 0 : Number(message.pseudo.get('status'));
    if (typeof message === 'string' || status === 101 || (status < 200 && endStream)) {
      this.fault(stream, CODE.protocolError);
      return;
    }
    if (status < 200) {
      this.#deps.guards.count('idleFrames');
      return;
    }
    stream.answered = true;
    stream.owner?.onResponse(status, readResponse(message));
    if (endStream) stream.endRemote();
  }

  #widen(stream: OpenStream, increment: number): boolean {
    const before = stream.sendWindow;
    stream.sendWindow += increment;
    if (stream.sendWindow > LARGEST_WINDOW) return false;
    this.#deps.host.send.widen(stream, before);
    return true;
  }

  /** Resets a stream that is not there. */
  #refuse(id: number, code: number): void {
    this.#deps.guards.count('provokedResets');
    this.#ended.remember(id, 'reset');
    this.#deps.host.send.rstStream(id, code);
  }

  /** Frames on a stream that nobody has opened come from a broken peer. */
  #mustHaveBeen(id: number, frame: string): void {
    const opened =
      this.#deps.role === 'server'
        ? id % 2 === 1 && id <= this.#lastPeerId
        : id % 2 === 1 && id < this.#nextOwnId;
    if (!opened) throw http2Fault(CODE.protocolError, `${frame} on idle stream ${id}`);
  }
}

/** hbone.md section 1.8: answers are short, requests may carry more. */
export function maxHeaderList(role: Role, carriesRequests: boolean): number {
  if (carriesRequests) return limits.MAX_HEADER_LIST;
  return role === 'client' ? 16 * 1024 : limits.MAX_HEADER_LIST;
}

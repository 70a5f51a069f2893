/**
 * Everything that a session writes, and who waits to write DATA.
 *
 * No byte of DATA leaves beyond the peer's windows or its frame size. Streams that found no room in
 * the connection are woken in the order in which they began to wait, and each gets one turn before
 * any gets a second. Nothing is queued here: what cannot be sent stays where it is.
 */
import { HpackEncoder, type HeaderSource } from '../http2/hpack-encoder.ts';
import * as frames from '../http2/frames.ts';
import { MAX_BLOCK_SENT, MAX_DATA_SENT } from '../http2/limits.ts';
import type { PeerSettings } from '../http2/peer-settings.ts';
import type { Outlet } from './outlet.ts';

/** What the send side needs of a stream. */
export interface Sender {
  readonly id: number;
  /** What the peer takes in this stream; may be negative (RFC 9113 section 6.9.2). */
  sendWindow: number;
  /** It asked for room and got none. */
  waiting: boolean;
  onRoom(): void;
}

export class SendSide {
  readonly outlet: Outlet;
  readonly peer: PeerSettings;
  readonly encoder = new HpackEncoder();
  /** Frames and bytes of DATA so far: what the peer's WINDOW_UPDATEs are measured by. */
  dataFrames = 0;
  dataBytes = 0;
  #window = frames.INITIAL_WINDOW;
  #waiting: Sender[] = [];
  #waking = false;

  constructor(outlet: Outlet, peer: PeerSettings) {
    this.outlet = outlet;
    this.peer = peer;
  }

  /** What the peer takes in all streams together. */
  get window(): number {
    return this.#window;
  }

  restoreWindow(window: number): void {
    this.#window = window;
  }

  /** Bytes that this stream may send now; when 0, it is woken as soon as that may have changed. */
  room(sender: Sender): number {
    const window = Math.min(sender.sendWindow, this.#window);
    if (window > 0 && !this.outlet.blocked) {
      return Math.min(window, this.peer.maxFrame, MAX_DATA_SENT);
    }
    if (!sender.waiting) {
      sender.waiting = true;
      if (sender.sendWindow > 0) this.#waiting.push(sender);
    }
    return 0;
  }

  beginData(max: number): number {
    return this.outlet.reserve(frames.HEADER_BYTES + max) + frames.HEADER_BYTES;
  }

  endData(sender: Sender, at: number, length: number, endStream: boolean): void {
    if (length > sender.sendWindow || length > this.#window) {
      throw new RangeError(`Cannot send ${length} bytes: beyond the window`);
    }
    const { bytes } = this.outlet;
    const head = at - frames.HEADER_BYTES;
    frames.writeDataHead(bytes, head, length, sender.id);
    if (endStream) bytes[head + 4] = frames.FLAG.endStream;
    sender.sendWindow -= length;
    this.#window -= length;
    this.dataFrames += 1;
    this.dataBytes += length;
    this.outlet.commit(frames.HEADER_BYTES + length);
  }

  /** The stream's own window has grown. */
  widen(sender: Sender, before: number): void {
    if (!sender.waiting || before > 0 || sender.sendWindow <= 0) return;
    this.#waiting.push(sender);
    this.wake();
  }

  /** The connection's window grows; false when it would be larger than HTTP/2 allows. */
  widenConnection(increment: number): boolean {
    this.#window += increment;
    if (this.#window > frames.LARGEST_WINDOW) return false;
    this.wake();
    return true;
  }

  /** Lets those who wait send, as long as there is room for anybody. */
  wake(): void {
    if (this.#waking || this.#waiting.length === 0) return;
    this.#waking = true;
    const turn = this.#waiting;
    this.#waiting = [];
    let next = 0;
    try {
      for (; next < turn.length && this.#window > 0 && !this.outlet.blocked;) {
        const sender = turn[next];
        next += 1;
        if (sender?.waiting !== true) continue;
        if (sender.sendWindow <= 0) continue; // its own WINDOW_UPDATE brings it back
        sender.waiting = false;
        sender.onRoom();
      }
    } finally {
      this.#waking = false;
      if (next < turn.length) this.#waiting = turn.slice(next).concat(this.#waiting);
    }
  }

  forget(sender: Sender): void {
    sender.waiting = false;
  }

  /** Nobody waits any more: the session is dead. */
  stop(): void {
    this.#waiting = [];
  }

  /** Writes one HEADERS frame whose block `encode` writes. */
  headers(stream: number, mostBytes: number, endStream: boolean, encode: Encode): void {
    this.headersOf(stream, { mostBytes, encode }, endStream);
  }

  /** Writes one HEADERS frame with the list of this source. */
  headersOf(stream: number, source: HeaderSource, endStream: boolean): void {
    const { mostBytes } = source;
    if (mostBytes > MAX_BLOCK_SENT) throw new RangeError('Cannot send headers: too long');
    const at = this.outlet.reserve(frames.HEADER_BYTES + mostBytes);
    const { bytes } = this.outlet;
    const start = at + frames.HEADER_BYTES;
    this.encoder.begin(bytes, start);
    source.encode(this.encoder);
    const length = this.encoder.end() - start;
    const flags = frames.FLAG.endHeaders | (endStream ? frames.FLAG.endStream : 0);
    frames.writeHead(bytes, at, { length, type: frames.FRAME.headers, flags, stream });
    this.outlet.commit(frames.HEADER_BYTES + length);
  }

  /** What opens our direction: settings and the window of the connection. */
  settings(settings: readonly frames.Setting[], preface: boolean, windowIncrement: number): void {
    const prefaceBytes = preface ? frames.PREFACE.length : 0;
    const total = prefaceBytes + frames.settingsBytes(settings) + frames.SHORT_FRAME_BYTES;
    const at = this.outlet.reserve(total);
    const { bytes } = this.outlet;
    if (preface) frames.PREFACE.copy(bytes, at);
    const after = at + prefaceBytes;
    const length = frames.writeSettings(bytes, after, settings);
    frames.writeWindowUpdate(bytes, after + length, 0, windowIncrement);
    this.outlet.commit(total);
  }

  settingsAck(): void {
    const at = this.outlet.reserve(frames.HEADER_BYTES);
    this.outlet.commit(frames.writeSettingsAck(this.outlet.bytes, at));
  }

  windowUpdate(stream: number, increment: number): void {
    const at = this.outlet.reserve(frames.SHORT_FRAME_BYTES);
    this.outlet.commit(frames.writeWindowUpdate(this.outlet.bytes, at, stream, increment));
  }

  rstStream(stream: number, code: number): void {
    const at = this.outlet.reserve(frames.SHORT_FRAME_BYTES);
    this.outlet.commit(frames.writeRstStream(this.outlet.bytes, at, stream, code));
  }

  ping(high: number, low: number): void {
    const at = this.outlet.reserve(frames.PING_BYTES);
    this.outlet.commit(frames.writePing(this.outlet.bytes, at, high, low));
  }

  pong(from: Buffer, fromAt: number): void {
    const at = this.outlet.reserve(frames.PING_BYTES);
    this.outlet.commit(frames.writePong(this.outlet.bytes, at, from, fromAt));
  }

  goaway(lastStream: number, code: number): void {
    const at = this.outlet.reserve(frames.GOAWAY_BYTES);
    this.outlet.commit(frames.writeGoaway(this.outlet.bytes, at, lastStream, code));
  }
}

type Encode = (encoder: HpackEncoder) => void;

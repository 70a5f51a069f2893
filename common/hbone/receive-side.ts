/**
 * What a session does with each frame that comes.
 *
 * The peer's first frame is SETTINGS, and nothing comes between the frames of a header block. Every
 * DATA frame is booked whole against both windows before its payload is looked at, so that padding,
 * data for streams that are gone and cut streams are given back to the connection all the same.
 */
import { http2Fault } from '../http2/fault.ts';
import type { FrameSink } from '../http2/frame-reader.ts';
import { CODE, FLAG, FRAME, read31, read32, type FrameHead } from '../http2/frames.ts';
import { HeaderBlocks, type Block } from '../http2/header-block.ts';
import { HpackDecoder } from '../http2/hpack-decoder.ts';
import type { Guards } from './guards.ts';
import type { OpenStream } from './open-stream.ts';
import type { SendSide } from './send-side.ts';
import type { DataFrameState } from './session-state.ts';
import type { Role, StreamTable } from './stream-table.ts';

/** What a receive side tells its session. */
export interface ConnectionEvents {
  /** The peer has sent its first SETTINGS. */
  onReady(): void;
  /** It has sent SETTINGS again. */
  onSettings(): void;
  onPong(bytes: Buffer, at: number): void;
  onGoaway(lastStream: number, code: number): void;
  /** Books a DATA frame at the connection; throws when it goes beyond the window. */
  bookData(length: number): void;
  /** Bytes are no longer held. */
  onConsumed(bytes: number): void;
}

export interface ReceiveDeps {
  readonly role: Role;
  readonly maxHeaderList: number;
  /** What our SETTINGS say of the table that the peer's encoder may keep. */
  readonly headerTable: number;
  readonly table: StreamTable;
  readonly send: SendSide;
  readonly guards: Guards;
  readonly events: ConnectionEvents;
}

export class ReceiveSide implements FrameSink {
  readonly #deps: ReceiveDeps;
  readonly #blocks = new HeaderBlocks();
  readonly #decoder: HpackDecoder;
  /** Where the DATA frame at hand goes, and whether it is the last of its stream. */
  #stream: OpenStream | undefined;
  #length = 0;
  #ends = false;

  constructor(deps: ReceiveDeps) {
    this.#deps = deps;
    this.#decoder = new HpackDecoder(deps.maxHeaderList);
  }

  /** Where in a frame it stands; undefined when more than plain numbers would be needed to go on. */
  state(): DataFrameState | undefined {
    if (this.#blocks.isOpen || !this.#decoder.hasNoTable) return undefined;
    return { stream: this.#stream?.id ?? 0, length: this.#length, ends: this.#ends };
  }

  restore(state: DataFrameState): void {
    this.#decoder.limitTable(0);
    this.#stream = this.#deps.table.find(state.stream);
    this.#length = state.length;
    this.#ends = state.ends;
  }

  onDataFrame(id: number, length: number, flags: number): void {
    this.#checkOrder(FRAME.data);
    const { table, events } = this.#deps;
    events.bookData(length);
    this.#length = length;
    this.#ends = (flags & FLAG.endStream) !== 0;
    this.#stream = undefined;
    const stream = table.find(id);
    if (stream !== undefined && !stream.remoteEnded && this.#takesData(stream)) {
      if (stream.receive(length)) {
        this.#stream = stream;
        return;
      }
      events.onConsumed(length);
      table.fault(stream, CODE.flowControlError);
      return;
    }
    events.onConsumed(length);
    if (stream === undefined) table.onStrayData(id);
    else table.fault(stream, stream.remoteEnded ? CODE.streamClosed : CODE.protocolError);
  }

  onDataBytes(bytes: Buffer, from: number, to: number): void {
    this.#stream?.deliver(bytes, from, to);
  }

  onDataDone(padding: number): void {
    if (padding === this.#length && !this.#ends) this.#deps.guards.count('emptyData');
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream === undefined) return;
    if (padding > 0) stream.skip(padding);
    if (this.#ends) stream.endRemote();
  }

  onUnknownFrame(type: number): void {
    this.#checkOrder(type);
    this.#deps.guards.count('idleFrames');
  }

  onFrame(head: FrameHead, bytes: Buffer, from: number, to: number): void {
    this.#checkOrder(head.type);
    switch (head.type) {
      case FRAME.headers:
        if (head.stream === 0) throw http2Fault(CODE.protocolError, 'HEADERS on stream 0');
        this.#onBlock(this.#blocks.headers(head, bytes, from, to));
        break;
      case FRAME.continuation:
        this.#onBlock(this.#blocks.continuation(head, bytes, from, to));
        break;
      case FRAME.priority:
        this.#onPriority(head, bytes, from);
        break;
      case FRAME.rstStream:
        mustBe(head, 4, 'stream');
        this.#deps.table.onReset(head.stream, read32(bytes, from));
        break;
      case FRAME.settings:
        this.#onSettings(head, bytes, from, to);
        break;
      case FRAME.ping:
        this.#onPing(head, bytes, from);
        break;
      case FRAME.goaway:
        this.#onGoaway(head, bytes, from);
        break;
      case FRAME.windowUpdate:
        this.#onWindowUpdate(head, bytes, from);
        break;
      default:
        throw http2Fault(CODE.protocolError, 'PUSH_PROMISE, which is switched off');
    }
  }

  /** A server takes data as soon as a request has come, a client only after the answer. */
  #takesData(stream: OpenStream): boolean {
    return stream.answered || this.#deps.role === 'server';
  }

  #checkOrder(type: number): void {
    if (!this.#deps.send.peer.arrived && type !== FRAME.settings) {
      throw http2Fault(CODE.protocolError, `frame of type ${type} before SETTINGS`);
    }
    if (this.#blocks.isOpen && type !== FRAME.continuation) {
      throw http2Fault(CODE.protocolError, `frame of type ${type} within a header block`);
    }
  }

  #onBlock(block: Block | undefined): void {
    if (block === undefined) return;
    const { stream, endStream, dependsOnItself } = block;
    this.#deps.guards.countHeaderBlock(block.to - block.from);
    const headers = this.#decoder.decode(block.bytes, block.from, block.to);
    this.#deps.table.onHeaders(stream, headers, endStream, dependsOnItself);
  }

  #onPriority(head: FrameHead, bytes: Buffer, from: number): void {
    mustBe(head, 5, 'stream');
    this.#deps.guards.count('idleFrames');
    this.#deps.table.onPriority(head.stream, read31(bytes, from));
  }

  #onSettings(head: FrameHead, bytes: Buffer, from: number, to: number): void {
    const { send, guards, table, events } = this.#deps;
    if (head.stream !== 0) throw http2Fault(CODE.protocolError, 'SETTINGS on a stream');
    guards.count('settings');
    if ((head.flags & FLAG.ack) !== 0) {
      if (head.length > 0) throw http2Fault(CODE.frameSizeError, 'acknowledgment with settings');
      if (!send.peer.arrived)
        throw http2Fault(CODE.protocolError, 'acknowledgment before SETTINGS');
      // Tunnels ask for no table; the peer has now emptied its own.
      this.#decoder.limitTable(this.#deps.headerTable);
      return;
    }
    if (head.length % 6 !== 0) throw http2Fault(CODE.frameSizeError, 'SETTINGS of odd length');
    const first = !send.peer.arrived;
    const change = send.peer.apply(bytes, from, to);
    if (change.headerTable) send.encoder.tableLimited();
    send.settingsAck();
    if (change.windowDelta !== 0 && !table.widenAll(change.windowDelta)) {
      throw http2Fault(CODE.flowControlError, 'INITIAL_WINDOW_SIZE makes a window too large');
    }
    if (first) events.onReady();
    else events.onSettings();
  }

  #onPing(head: FrameHead, bytes: Buffer, from: number): void {
    mustBe(head, 8, 'connection');
    this.#deps.guards.count('pings');
    if ((head.flags & FLAG.ack) === 0) this.#deps.send.pong(bytes, from);
    else this.#deps.events.onPong(bytes, from);
  }

  #onGoaway(head: FrameHead, bytes: Buffer, from: number): void {
    if (head.stream !== 0) throw http2Fault(CODE.protocolError, 'GOAWAY on a stream');
    if (head.length < 8) throw http2Fault(CODE.frameSizeError, 'GOAWAY too short');
    this.#deps.guards.count('idleFrames');
    const lastStream = read31(bytes, from);
    this.#deps.table.onGoaway(lastStream);
    this.#deps.events.onGoaway(lastStream, read32(bytes, from + 4));
  }

  #onWindowUpdate(head: FrameHead, bytes: Buffer, from: number): void {
    if (head.length !== 4) throw http2Fault(CODE.frameSizeError, 'WINDOW_UPDATE of wrong length');
    const { guards, send, table } = this.#deps;
    guards.countWindowUpdate(send);
    const increment = read31(bytes, from);
    if (head.stream !== 0) {
      table.onWindowUpdate(head.stream, increment);
      return;
    }
    if (increment === 0) throw http2Fault(CODE.protocolError, 'WINDOW_UPDATE of 0');
    if (!send.widenConnection(increment)) {
      throw http2Fault(CODE.flowControlError, 'window of the connection too large');
    }
  }
}

/** Checks a frame of fixed length, and whether it stands on a stream or on none. */
function mustBe(head: FrameHead, length: number, place: 'stream' | 'connection'): void {
  if ((head.stream === 0) !== (place === 'connection')) {
    throw http2Fault(CODE.protocolError, `frame of type ${head.type} on stream ${head.stream}`);
  }
  if (head.length !== length) {
    throw http2Fault(CODE.frameSizeError, `frame of type ${head.type}, ${head.length} bytes long`);
  }
}

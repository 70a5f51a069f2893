/**
 * One HBONE tunnel: an HTTP/2 connection that carries CONNECT streams, without its transport.
 *
 * The owner feeds what the transport has decrypted to `receive` and lends its stage as the outlet;
 * the session does no I/O and has no timers, it is told the time. It never sends DATA beyond the
 * peer's windows, never holds payload, and bounds everything that a peer can make it hold or do
 * (`common/http2/limits.ts`). When it dies, by a fault of the peer or by silence, every stream hears
 * `onLost` first and the owner `onError` last, once; what it still had to say, a GOAWAY, is in the
 * outlet by then, and the owner closes the transport after it. After that all calls do nothing.
 */
import { MeshError } from '../errors.ts';
import { faultCode, http2Fault } from '../http2/fault.ts';
import type { HeaderSource } from '../http2/hpack-encoder.ts';
import type { HttpMessage } from '../http2/http-message.ts';
import { FrameReader } from '../http2/frame-reader.ts';
import {
  CODE,
  INITIAL_WINDOW,
  LARGEST_STREAM_ID,
  SETTING,
  read32,
  type Setting,
} from '../http2/frames.ts';
import * as limits from '../http2/limits.ts';
import { PeerSettings } from '../http2/peer-settings.ts';
import { ReceiveWindow } from '../http2/receive-window.ts';
import { Guards } from './guards.ts';
import { encodeRequest, requestBytes, type ConnectRequest } from './headers.ts';
import { KeepAlive } from './keep-alive.ts';
import { OpenStream, type Ending, type StreamHost } from './open-stream.ts';
import { ReceiveSide } from './receive-side.ts';
import { SendSide } from './send-side.ts';
import type { SessionDeps, SessionOwner } from './session-owner.ts';
import type { SessionState, StreamState } from './session-state.ts';
import { maxHeaderList, StreamTable, type Role } from './stream-table.ts';
import type { Stream } from './stream.ts';

export type { SessionDeps, SessionLimits, SessionOwner } from './session-owner.ts';

/** The peer must have sent SETTINGS within this time. */
export const SETTINGS_TIMEOUT_MS = 10_000;

/** A peer that has not answered by then is taken to have seen our first GOAWAY. */
export const DRAIN_ANSWER_MS = 10_000;

/** The PING that follows a first GOAWAY: its answer means that the peer has seen it. */
const DRAIN_PING = 0x64_72_61_69;
const LIFE_PING = 0x6c_69_66_65;

/** What an encoder of ordinary requests may keep: names and values come again and again. */
const HEADER_TABLE = 4096;

type Phase = 'new' | 'open' | 'draining' | 'dead';

export class HboneSession {
  readonly #role: Role;
  readonly #owner: SessionOwner;
  readonly #now: () => number;
  readonly #maxStreams: number;
  readonly #carriesRequests: boolean;
  readonly #send: SendSide;
  readonly #host: StreamHost;
  readonly #receiveSide: ReceiveSide;
  readonly #table: StreamTable;
  readonly #reader: FrameReader;
  readonly #received = new ReceiveWindow(limits.CONNECTION_WINDOW, limits.CONNECTION_HOLD);
  readonly #keepAlive: KeepAlive;
  readonly #startedAt: number;
  #phase: Phase = 'new';
  /** Since when the answer to our first GOAWAY is awaited; `Infinity` when it is not. */
  #drainingSince = Infinity;
  #peerGoesAway = false;

  constructor(deps: SessionDeps) {
    const { role, owner, now } = deps;
    this.#role = role;
    this.#owner = owner;
    this.#now = now;
    this.#maxStreams = deps.limits?.maxStreams ?? limits.MAX_STREAMS;
    this.#carriesRequests = deps.carries === 'requests';
    this.#startedAt = now();
    this.#keepAlive = new KeepAlive(this.#startedAt);
    this.#send = new SendSide(deps.outlet, new PeerSettings(role === 'client'));
    const guards = new Guards(deps.limits?.rates ?? limits.RATES, now);
    this.#host = {
      send: this.#send,
      onConsumed: (bytes: number): void => this.#onConsumed(bytes),
      onEnded: (stream: OpenStream, how: Ending): void => this.#onEnded(stream, how),
      onFault: (stream: OpenStream, code: number): void => this.#table.fault(stream, code),
    };
    this.#table = new StreamTable({
      role,
      maxStreams: this.#maxStreams,
      host: this.#host,
      guards,
      onRequest: (stream, request) => owner.onRequest(stream, request),
      ...(this.#carriesRequests && {
        onMessage: (stream: Stream, message: HttpMessage, endStream: boolean): void =>
          owner.onMessage?.(stream, message, endStream),
      }),
    });
    this.#receiveSide = new ReceiveSide({
      role,
      maxHeaderList: maxHeaderList(role, this.#carriesRequests),
      headerTable: this.#carriesRequests ? HEADER_TABLE : 0,
      table: this.#table,
      send: this.#send,
      guards,
      events: {
        onReady: () => owner.onReady(),
        onSettings: () => owner.onRoom?.(),
        onPong: (bytes, at) => this.#onPong(bytes, at),
        onGoaway: (_last, code) => this.#onGoaway(code),
        bookData: (length) => this.#bookData(length),
        onConsumed: (bytes) => this.#onConsumed(bytes),
      },
    });
    this.#reader = new FrameReader(this.#receiveSide, { expectPreface: role === 'server' });
  }

  /** How many streams are open. */
  get streams(): number {
    return this.#table.size;
  }

  /** How many the peer allows; `Infinity` when it has set no limit. */
  get peerMaxStreams(): number {
    return this.#send.peer.maxStreams;
  }

  /** The peer's SETTINGS have come. */
  get ready(): boolean {
    return this.#send.peer.arrived;
  }

  get closed(): boolean {
    return this.#phase === 'dead';
  }

  /** Bytes received that the far sides have not taken yet, in all streams. */
  get unconsumed(): number {
    return this.#received.unconsumed;
  }

  /** How many more streams may be opened now. */
  room(): number {
    if (this.#role !== 'client' || this.#phase !== 'open' || this.#peerGoesAway) return 0;
    if (!this.#table.hasIds) return 0;
    return Math.max(0, this.#send.peer.maxStreams - this.#table.size);
  }

  canOpen(): boolean {
    return this.room() > 0;
  }

  /**
   * All there is to the session, to be taken between two passes of the loop; undefined when it is
   * not ready, dead, or inside what is no plain data (a header block in pieces).
   */
  state(): SessionState | undefined {
    const frame = this.#receiveSide.state();
    const phase = this.#phase;
    if (frame === undefined || !this.ready || phase === 'new' || phase === 'dead') return undefined;
    return {
      role: this.#role,
      phase,
      awaitsDrainAnswer: this.#drainingSince !== Infinity,
      peerGoesAway: this.#peerGoesAway,
      received: this.#received.state(),
      sendWindow: this.#send.window,
      peer: this.#send.peer.state(),
      table: this.#table.state(),
      reader: this.#reader.state(),
      frame,
    };
  }

  /** Takes the place of `start` in a session that goes on with the state of another. */
  restore(state: SessionState): void {
    this.#phase = state.phase;
    if (state.awaitsDrainAnswer) this.#drainingSince = this.#now();
    this.#peerGoesAway = state.peerGoesAway;
    this.#received.restore(state.received);
    this.#send.restoreWindow(state.sendWindow);
    this.#send.peer.restore(state.peer);
    this.#table.restore(state.table);
    this.#reader.restore(state.reader);
    this.#receiveSide.restore(state.frame);
  }

  /** The stream of a restored session that this state is of; one that is closed is in no table. */
  streamOf(state: StreamState): Stream {
    const stream = state.closed ? undefined : this.#table.find(state.id);
    return stream ?? OpenStream.restored(state, this.#host);
  }

  /** Writes what opens our direction. */
  start(): void {
    if (this.#phase !== 'new') return;
    this.#phase = 'open';
    const increment = limits.CONNECTION_WINDOW - INITIAL_WINDOW;
    this.#send.settings(this.#settings(), this.#role === 'client', increment);
  }

  /** Takes bytes of the transport; whole frames or not. */
  receive(bytes: Buffer, from: number, to: number): void {
    if (this.#phase === 'dead') return;
    this.#keepAlive.heard(this.#now());
    try {
      this.#reader.receive(bytes, from, to);
    } catch (error) {
      if (error instanceof MeshError && error.code === 'HTTP2_PROTOCOL_ERROR') {
        this.#die(error, faultCode(error));
        return;
      }
      // A user of ours threw: what follows in these bytes can no longer be told apart.
      this.close(lost('a handler of a stream failed'), CODE.internalError);
      throw error;
    }
  }

  /** Client: opens a stream; set its owner before bytes come. Throws LIMIT_REACHED without room. */
  open(request: ConnectRequest): Stream {
    if (!this.canOpen()) {
      throw new MeshError('LIMIT_REACHED', 'Cannot open a stream: the session takes no more', {
        details: { streams: this.streams, peerMaxStreams: this.peerMaxStreams },
      });
    }
    const mostBytes = requestBytes(request);
    if (mostBytes > limits.MAX_BLOCK_SENT) {
      throw new MeshError('LIMIT_REACHED', 'Cannot open a stream: its headers are too long', {
        details: { mostBytes },
      });
    }
    const stream = this.#table.add();
    this.#send.headers(stream.id, mostBytes, false, (encoder) => {
      encodeRequest(encoder, request);
    });
    return stream;
  }

  /** Client of ordinary requests: opens a stream with this one; throws as `open` does. */
  openRequest(source: HeaderSource, endStream: boolean): Stream {
    if (!this.canOpen() || source.mostBytes > limits.MAX_BLOCK_SENT) {
      throw new MeshError('LIMIT_REACHED', 'Cannot open a stream: no room, or headers too long', {
        details: { streams: this.streams, mostBytes: source.mostBytes },
      });
    }
    const stream = this.#table.add();
    stream.sendHeaders('inform', source, endStream);
    return stream;
  }

  /** The outlet is no longer blocked: those who wait may send. */
  onWritable(): void {
    if (this.#phase !== 'dead') this.#send.wake();
  }

  /** Sends a PING now. */
  ping(): void {
    if (this.#phase !== 'dead') this.#send.ping(LIFE_PING, 0);
  }

  /** The peer may be gone: it must show soon that it is not. */
  doubt(): void {
    if (this.#phase !== 'dead') this.#keepAlive.doubt(this.#now());
    this.ping();
  }

  /**
   * Takes no new streams; those that are open go on, and `onIdle` says when none is left. A server
   * first tells its peer so and refuses nothing until the peer has seen it (RFC 9113 section 6.8).
   */
  goAway(): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'draining';
    if (this.#role === 'client') {
      this.#send.goaway(0, CODE.noError);
      return;
    }
    this.#send.goaway(LARGEST_STREAM_ID, CODE.noError);
    this.#send.ping(DRAIN_PING, 0);
    this.#drainingSince = this.#now();
  }

  /** To be called about once a second: PING, and the end of a peer that is silent. */
  onTimer(nowMs: number): void {
    if (this.#phase === 'dead' || this.#phase === 'new') return;
    if (!this.ready && nowMs - this.#startedAt >= SETTINGS_TIMEOUT_MS) {
      this.#die(lost('no SETTINGS from the peer within 10 s'), CODE.settingsTimeout);
      return;
    }
    if (nowMs - this.#drainingSince >= DRAIN_ANSWER_MS) this.#refuseNew();
    const beat = this.#keepAlive.beat(nowMs);
    if (beat === 'ping') this.ping();
    if (beat === 'dead') this.#die(lost('the peer does not answer PING'), CODE.noError);
  }

  /** Ends the session from our side: GOAWAY, `onLost` for every stream, no `onError`. */
  close(error: MeshError, code: number = CODE.noError): void {
    if (this.#phase === 'dead') return;
    this.#send.goaway(this.#table.lastPeerId, code);
    this.lost(error);
  }

  /** The transport has ended: `onLost` for every stream; writes nothing. */
  lost(error: MeshError): void {
    if (this.#phase === 'dead') return;
    this.#phase = 'dead';
    this.#reader.stop();
    this.#send.stop();
    for (const stream of this.#table.clear()) stream.lose(error);
  }

  #die(error: MeshError, code: number): void {
    if (this.#phase === 'dead') return;
    this.close(error, code);
    this.#owner.onError(error);
  }

  #settings(): readonly Setting[] {
    const common: readonly Setting[] = [
      [SETTING.headerTableSize, this.#carriesRequests ? HEADER_TABLE : 0],
      [SETTING.initialWindowSize, limits.STREAM_WINDOW],
      [SETTING.maxFrameSize, limits.MAX_FRAME],
      [SETTING.maxHeaderListSize, maxHeaderList(this.#role, this.#carriesRequests)],
    ];
    const own: Setting =
      this.#role === 'client'
        ? [SETTING.enablePush, 0]
        : [SETTING.maxConcurrentStreams, this.#maxStreams];
    return [...common, own];
  }

  #bookData(length: number): void {
    if (!this.#received.receive(length)) {
      throw http2Fault(CODE.flowControlError, 'DATA beyond the window of the connection');
    }
    this.#giveCredit();
  }

  #onConsumed(bytes: number): void {
    this.#received.consume(bytes);
    this.#giveCredit();
  }

  #giveCredit(): void {
    const credit = this.#received.credit();
    if (credit > 0 && this.#phase !== 'dead') this.#send.windowUpdate(0, credit);
  }

  #onEnded(stream: OpenStream, how: Ending): void {
    this.#table.remove(stream, how);
    this.#owner.onRoom?.();
    if (this.#table.size === 0) this.#owner.onIdle();
  }

  #onPong(bytes: Buffer, at: number): void {
    this.#keepAlive.answered();
    if (this.#phase !== 'draining' || read32(bytes, at) !== DRAIN_PING) return;
    if (this.#drainingSince !== Infinity) this.#refuseNew();
  }

  /** The second GOAWAY: from here on new streams are refused. */
  #refuseNew(): void {
    this.#drainingSince = Infinity;
    this.#table.refuseNew();
    this.#send.goaway(this.#table.lastPeerId, CODE.noError);
  }

  #onGoaway(code: number): void {
    this.#peerGoesAway = true;
    this.#owner.onGoAway(code);
  }
}

function lost(found: string): MeshError {
  return new MeshError('TUNNEL_LOST', `Cannot keep the tunnel: ${found}`);
}

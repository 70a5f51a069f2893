/**
 * What the peer has told in SETTINGS (RFC 9113 section 6.5), with the defaults until it has.
 *
 * Only what is valid is ever kept; anything else ends the connection.
 */
import { http2Fault } from './fault.ts';
import * as frames from './frames.ts';
import { ASSUMED_STREAMS } from './limits.ts';

const { CODE, SETTING } = frames;

/** What has changed in a way that somebody must act on. */
export interface SettingsChange {
  /** By how much the send window of every stream grows, or shrinks. */
  readonly windowDelta: number;
  readonly headerTable: boolean;
}

export interface PeerSettingsState {
  readonly maxStreams: number | null;
  readonly initialWindow: number;
  readonly maxFrame: number;
  readonly arrived: boolean;
}

export class PeerSettings {
  maxStreams = ASSUMED_STREAMS;
  initialWindow = frames.INITIAL_WINDOW;
  maxFrame = frames.SMALLEST_MAX_FRAME;
  readonly #peerIsServer: boolean;
  #arrived = false;

  constructor(peerIsServer: boolean) {
    this.#peerIsServer = peerIsServer;
  }

  /** The peer has sent SETTINGS at least once. */
  get arrived(): boolean {
    return this.#arrived;
  }

  /** The settings as plain data; no limit of streams is null. */
  state(): PeerSettingsState {
    const { maxStreams, initialWindow, maxFrame } = this;
    return {
      maxStreams: Number.isFinite(maxStreams) ? maxStreams : null,
      initialWindow,
      maxFrame,
      arrived: this.#arrived,
    };
  }

  restore(state: PeerSettingsState): void {
    this.maxStreams = state.maxStreams ?? Number.POSITIVE_INFINITY;
    this.initialWindow = state.initialWindow;
    this.maxFrame = state.maxFrame;
    this.#arrived = state.arrived;
  }

  apply(bytes: Uint8Array, from: number, to: number): SettingsChange {
    if (!this.#arrived) {
      this.#arrived = true;
      this.maxStreams = Number.POSITIVE_INFINITY;
    }
    const windowBefore = this.initialWindow;
    let headerTable = false;
    for (let at = from; at < to; at += 6) {
      const id = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
      this.#set(id, frames.read32(bytes, at + 2));
      if (id === SETTING.headerTableSize) headerTable = true;
    }
    return { windowDelta: this.initialWindow - windowBefore, headerTable };
  }

  #set(id: number, value: number): void {
    switch (id) {
      case SETTING.enablePush:
        if (value > (this.#peerIsServer ? 0 : 1)) {
          throw http2Fault(CODE.protocolError, `ENABLE_PUSH is ${value}`);
        }
        break;
      case SETTING.maxConcurrentStreams:
        this.maxStreams = value;
        break;
      case SETTING.initialWindowSize:
        if (value > frames.LARGEST_WINDOW) {
          throw http2Fault(CODE.flowControlError, `INITIAL_WINDOW_SIZE is ${value}`);
        }
        this.initialWindow = value;
        break;
      case SETTING.maxFrameSize:
        if (value < frames.SMALLEST_MAX_FRAME || value > frames.LARGEST_MAX_FRAME) {
          throw http2Fault(CODE.protocolError, `MAX_FRAME_SIZE is ${value}`);
        }
        this.maxFrame = value;
        break;
      case SETTING.enableConnectProtocol:
        if (value > 1) throw http2Fault(CODE.protocolError, `ENABLE_CONNECT_PROTOCOL is ${value}`);
        break;
      default:
        break;
    }
  }
}

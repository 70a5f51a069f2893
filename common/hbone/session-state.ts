/**
 * All there is to a session and its streams, as plain data, so that another process can go on with it.
 *
 * The tables of HPACK are empty on tunnels and who waits to send asks again, so neither is here. How
 * often a peer has done what is rated (guards) and when it was last heard begin anew.
 */
import type { FrameReaderState } from '../http2/frame-reader.ts';
import type { PeerSettingsState } from '../http2/peer-settings.ts';
import type { ReceiveWindowState } from '../http2/receive-window.ts';
import type { Ending } from './open-stream.ts';

export interface StreamState {
  readonly id: number;
  readonly sendWindow: number;
  readonly answered: boolean;
  readonly localEnded: boolean;
  readonly remoteEnded: boolean;
  readonly closed: boolean;
  readonly cut: boolean;
  /** Booked bytes of the frame at hand that have not come yet. */
  readonly undelivered: number;
  readonly received: ReceiveWindowState;
}

export interface StreamTableState {
  readonly lastPeerId: number;
  readonly lastAllowed: number;
  readonly nextOwnId: number;
  readonly ended: readonly (readonly [number, Ending])[];
  /** Those that are open. */
  readonly streams: readonly StreamState[];
}

/** The DATA frame that is being received; 0 when its bytes go nowhere. */
export interface DataFrameState {
  readonly stream: number;
  readonly length: number;
  readonly ends: boolean;
}

export interface SessionState {
  readonly role: 'client' | 'server';
  readonly phase: 'open' | 'draining';
  readonly awaitsDrainAnswer: boolean;
  readonly peerGoesAway: boolean;
  readonly received: ReceiveWindowState;
  readonly sendWindow: number;
  readonly peer: PeerSettingsState;
  readonly table: StreamTableState;
  readonly reader: FrameReaderState;
  readonly frame: DataFrameState;
}

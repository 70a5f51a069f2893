/**
 * Who goes over a rate of `limits.ts` loses the connection with ENHANCE_YOUR_CALM.
 */
import { http2Fault } from '../http2/fault.ts';
import { CODE } from '../http2/frames.ts';
import {
  BYTES_PER_UPDATE,
  FREE_HEADER_BYTES,
  UPDATES_PER_FRAME,
  type Rates,
} from '../http2/limits.ts';
import { RateGuard } from '../http2/rate-guard.ts';
import type { SendSide } from './send-side.ts';

const NAMES: Readonly<Record<keyof Rates, string>> = {
  settings: 'SETTINGS frames',
  pings: 'PING frames',
  emptyData: 'empty DATA frames',
  idleFrames: 'frames without effect',
  windowUpdates: 'WINDOW_UPDATE frames',
  headerBytes: 'bytes of headers',
  earlyResets: 'streams reset before their answer',
  provokedResets: 'streams that had to be reset',
};

export class Guards {
  readonly #rates: Rates;
  readonly #now: () => number;
  /** Made at the first event: most sessions never need most of them. */
  readonly #guardByName = new Map<keyof Rates, RateGuard>();
  #framesSeen = 0;
  #bytesSeen = 0;

  constructor(rates: Rates, now: () => number) {
    this.#rates = rates;
    this.#now = now;
  }

  /** Counts one event, or several. */
  count(name: keyof Rates, events = 1): void {
    if (this.#guard(name).spend(this.#now(), events)) return;
    throw http2Fault(CODE.enhanceYourCalm, `too many ${NAMES[name]}`);
  }

  countHeaderBlock(length: number): void {
    if (length > FREE_HEADER_BYTES) this.count('headerBytes', length - FREE_HEADER_BYTES);
  }

  /** Counts a WINDOW_UPDATE; DATA that we have sent since the last one earns its own. */
  countWindowUpdate(send: SendSide): void {
    const frames = send.dataFrames - this.#framesSeen;
    const bytes = send.dataBytes - this.#bytesSeen;
    this.#framesSeen = send.dataFrames;
    this.#bytesSeen = send.dataBytes;
    const earned = frames * UPDATES_PER_FRAME + Math.ceil(bytes / BYTES_PER_UPDATE);
    if (earned > 0) this.#guard('windowUpdates').earn(earned);
    this.count('windowUpdates');
  }

  #guard(name: keyof Rates): RateGuard {
    const known = this.#guardByName.get(name);
    if (known !== undefined) return known;
    const guard = new RateGuard(this.#rates[name], this.#now());
    this.#guardByName.set(name, guard);
    return guard;
  }
}

/**
 * A new connection of a client: its first bytes say whether it speaks HTTP/1 or HTTP/2.
 *
 * HTTP/2 with prior knowledge begins with `PRI `, which no request of HTTP/1 does.
 */
import { PREFACE } from '#common/http2/frames.ts';
import { Http1Server } from './http1-server.ts';
import { Http2Server } from './http2-server.ts';
import { HEAD_TIMEOUT_MS } from './limits.ts';
import type { Caller } from './router.ts';
import type { Shared } from './shared.ts';
import type { Ticking } from './sweep.ts';
import type { Wire, WireOwner } from './wire.ts';

const TELLING_BYTES = 4;

/** Serves what comes over this wire. */
export function acceptClient(shared: Shared, wire: Wire, caller: Caller): void {
  shared.counters.add('connectionsOpened');
  shared.counters.add('connectionsOpen');
  wire.owner = new FirstBytes(shared, wire, caller);
}

class FirstBytes implements WireOwner, Ticking {
  readonly #shared: Shared;
  readonly #wire: Wire;
  readonly #caller: Caller;
  readonly #since: number;
  #kept = Buffer.alloc(0);

  constructor(shared: Shared, wire: Wire, caller: Caller) {
    this.#shared = shared;
    this.#wire = wire;
    this.#caller = caller;
    this.#since = shared.loop.now;
    shared.sweep.add(this);
  }

  onBytes(bytes: Buffer, from: number, to: number): void {
    if (this.#kept.length > 0) {
      const all = Buffer.concat([this.#kept, bytes.subarray(from, to)]);
      this.#decide(all, 0, all.length);
    } else this.#decide(bytes, from, to);
  }

  onEnd(): void {
    this.#wire.destroy(false);
  }

  onDrained(): void {
    // Nothing was sent.
  }

  onClosed(): void {
    this.#shared.sweep.delete(this);
    this.#shared.counters.add('connectionsOpen', -1);
  }

  onTick(now: number): void {
    if (now - this.#since < HEAD_TIMEOUT_MS && !this.#shared.isDraining) return;
    this.#shared.counters.add('timeouts');
    this.#wire.destroy(false);
  }

  #decide(bytes: Buffer, from: number, to: number): void {
    const length = Math.min(TELLING_BYTES, to - from);
    const mayBeHttp2 = PREFACE.compare(bytes, from, from + length, 0, length) === 0;
    if (mayBeHttp2 && length < TELLING_BYTES) {
      this.#kept = Buffer.from(bytes.subarray(from, to));
      return;
    }
    this.#shared.sweep.delete(this);
    const Server = mayBeHttp2 ? Http2Server : Http1Server;
    new Server(this.#shared, this.#wire, this.#caller).onBytes(bytes, from, to);
  }
}

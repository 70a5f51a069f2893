/**
 * Bytes on their way into a stream of HTTP/2: at once as far as windows and transport allow, the rest
 * in order later. Whoever writes looks at `queued` and stops when it is too much.
 */
import { ByteQueue } from '#common/engine/byte-queue.ts';
import type { Outlet } from '#common/hbone/outlet.ts';
import type { Stream } from '#common/hbone/stream.ts';
import type { HeaderSource } from '#common/http2/hpack-encoder.ts';

export class StreamOutput {
  readonly #stream: Stream;
  readonly #outlet: Outlet;
  readonly #queue = new ByteQueue();
  #isOpen: boolean;
  #ends = false;
  #trailers: HeaderSource | undefined;

  /** Nothing is sent before `open()` unless it is open already. */
  constructor(stream: Stream, outlet: Outlet, isOpen = true) {
    this.#isOpen = isOpen;
    this.#stream = stream;
    this.#outlet = outlet;
  }

  get queued(): number {
    return this.#queue.length;
  }

  get hasEnded(): boolean {
    return this.#ends;
  }

  write(bytes: Buffer, from: number, to: number): void {
    let at = from;
    while (this.#isOpen && at < to && this.#queue.length === 0) {
      const room = Math.min(this.#stream.sendRoom(), to - at);
      if (room <= 0) break;
      const place = this.#stream.beginData(room);
      bytes.copy(this.#outlet.bytes, place, at, at + room);
      this.#stream.endData(room, false);
      at += room;
    }
    if (at < to && !this.#stream.closed) this.#queue.append(bytes, at, to);
  }

  open(): void {
    this.#isOpen = true;
    this.drain();
  }

  /** Ends our direction behind all that was written, with trailers if there are any. */
  end(trailers?: HeaderSource): void {
    if (this.#ends) return;
    this.#ends = true;
    this.#trailers = trailers;
    this.#finish();
  }

  /** There may be room again. */
  drain(): void {
    if (!this.#isOpen) return;
    while (this.#queue.length > 0) {
      const room = Math.min(this.#stream.sendRoom(), this.#queue.length);
      if (room <= 0) return;
      const place = this.#stream.beginData(room);
      this.#queue.take(this.#outlet.bytes, place, room);
      this.#stream.endData(room, false);
    }
    this.#finish();
  }

  clear(): void {
    this.#queue.clear();
  }

  #finish(): void {
    if (!this.#ends || !this.#isOpen || this.#queue.length > 0 || this.#stream.closed) return;
    if (this.#trailers === undefined) this.#stream.sendEnd();
    else this.#stream.sendHeaders('trailers', this.#trailers, true);
  }
}

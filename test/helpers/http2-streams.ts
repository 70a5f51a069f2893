/** Users of streams, as tests need them: one that sends back, one that records what it hears. */
import type { MeshError } from '../../common/errors.ts';
import type { ConnectResponse } from '../../common/hbone/headers.ts';
import type { Outlet } from '../../common/hbone/outlet.ts';
import type { Stream, StreamOwner } from '../../common/hbone/stream.ts';

/** Sends bytes through a stream as its windows allow, then its end if asked. */
export class Sending {
  readonly #stream: Stream;
  readonly #outlet: Outlet;
  readonly #queue: Buffer[] = [];
  #ending = false;

  constructor(stream: Stream, outlet: Outlet) {
    this.#stream = stream;
    this.#outlet = outlet;
  }

  send(bytes: Buffer): void {
    this.#queue.push(bytes);
    this.go();
  }

  end(): void {
    this.#ending = true;
    this.go();
  }

  go(): void {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      const room = Math.min(this.#stream.sendRoom(), next.length);
      if (room === 0) return;
      const at = this.#stream.beginData(room);
      next.copy(this.#outlet.bytes, at, 0, room);
      this.#stream.endData(room, false);
      if (room === next.length) this.#queue.shift();
      else this.#queue[0] = next.subarray(room);
    }
    if (this.#ending) this.#stream.sendEnd();
  }
}

/** Records everything it hears; gives data back at once unless `holds`. */
export class Recorder implements StreamOwner {
  readonly stream: Stream;
  readonly sending: Sending;
  readonly heard: string[] = [];
  readonly chunks: Buffer[] = [];
  response: ConnectResponse | undefined;
  status = 0;
  received = 0;
  holds = false;
  #waiters: { test: () => boolean; resolve: () => void }[] = [];

  constructor(stream: Stream, outlet: Outlet) {
    this.stream = stream;
    this.sending = new Sending(stream, outlet);
    stream.owner = this;
  }

  onResponse(status: number, response: ConnectResponse): void {
    this.status = status;
    this.response = response;
    this.#hear(`response ${status}`);
  }

  onData(bytes: Buffer, from: number, to: number): void {
    this.chunks.push(Buffer.from(bytes.subarray(from, to)));
    this.received += to - from;
    if (!this.holds) this.stream.consumed(to - from);
    this.#check();
  }

  onEnd(): void {
    this.#hear('end');
  }

  onReset(code: number): void {
    this.#hear(`reset ${code}`);
  }

  onSendRoom(): void {
    this.sending.go();
  }

  onLost(error: MeshError): void {
    this.#hear(`lost ${error.code}`);
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  /** Resolves as soon as `test` holds. */
  async until(test: () => boolean): Promise<void> {
    if (test()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ test, resolve });
    await promise;
  }

  async hears(what: string): Promise<void> {
    await this.until(() => this.heard.includes(what));
  }

  #hear(what: string): void {
    this.heard.push(what);
    this.#check();
  }

  #check(): void {
    this.#waiters = this.#waiters.filter(({ test, resolve }) => {
      if (test()) resolve();
      return !test();
    });
  }
}

/** Sends back what comes, and ends when the peer does. */
export class Echo implements StreamOwner {
  readonly #stream: Stream;
  readonly #sending: Sending;

  constructor(stream: Stream, outlet: Outlet) {
    this.#stream = stream;
    this.#sending = new Sending(stream, outlet);
    stream.owner = this;
  }

  onResponse(): void {}

  onData(bytes: Buffer, from: number, to: number): void {
    this.#sending.send(Buffer.from(bytes.subarray(from, to)));
    this.#stream.consumed(to - from);
  }

  onEnd(): void {
    this.#sending.end();
  }

  onReset(): void {}

  onSendRoom(): void {
    this.#sending.go();
  }

  onLost(): void {}
}

/**
 * The receiving side of one HTTP/1.1 connection: bytes in, messages out, without I/O.
 *
 * A head that has come in one piece is read where it stands; otherwise it is collected, up to its
 * bound. Nothing behind a message is looked at before `next()`: it is kept (`kept`), and whoever feeds
 * the reader stops feeding it meanwhile. After a fault, which is said once, the reader says nothing.
 */
import { BodyReader, type BodyKind, type BodySink } from './body-reader.ts';
import type { Fault } from './fault.ts';
import { FAULT } from './fault.ts';
import type { FieldBlock } from './field-block.ts';

/** What both heads have in common. */
export interface Head {
  readonly fields: FieldBlock;
  readonly fault: Fault | undefined;
  begin(): void;
  read(bytes: Buffer, base: number, to: number): number;
}

export interface MessageSink extends BodySink {
  /**
   * A head is complete and may be read until this call returns. Says what body follows; `undefined`
   * when the message is informational, so that another head follows at once.
   */
  onHead(): { readonly kind: BodyKind; readonly length: number } | undefined;
  /** The message is complete. */
  onMessageEnd(trailers: FieldBlock | undefined): void;
  onFault(fault: Fault): void;
}

type State = 'head' | 'body' | 'between' | 'stopped';

const NOTHING = Buffer.alloc(0);
const SMALLEST = 4096;

export class MessageReader {
  readonly #head: Head;
  readonly #sink: MessageSink;
  readonly #body: BodyReader;
  #state: State = 'between';
  /** What has come and could not be read yet. */
  #kept = NOTHING;
  #from = 0;
  #to = 0;
  #isReading = false;
  /** While a message ends: bytes that have come behind it. */
  #behind = 0;

  constructor(head: Head, sink: MessageSink) {
    this.#head = head;
    this.#sink = sink;
    this.#body = new BodyReader(sink);
  }

  /** Bytes that wait for `next()`, or for the rest of their head. */
  get kept(): number {
    return this.#to - this.#from;
  }

  /** Bytes of another message have come and nobody has asked for it yet. */
  get isWaiting(): boolean {
    return this.#state === 'between' && this.kept > 0;
  }

  /** Nothing of the next message has come. */
  get isBetween(): boolean {
    return this.#state === 'between' || (this.#state === 'head' && this.kept === 0);
  }

  /** While a message ends: how many bytes have come behind it. */
  get behind(): number {
    return this.#behind;
  }

  get isInHead(): boolean {
    return this.#state === 'head';
  }

  get isInBody(): boolean {
    return this.#state === 'body';
  }

  /** Says nothing from now on. */
  stop(): void {
    this.#state = 'stopped';
    this.#kept = NOTHING;
    this.#from = 0;
    this.#to = 0;
  }

  /** Begins to read the next message, perhaps out of what has come already. */
  next(): void {
    if (this.#state !== 'between') return;
    this.#state = 'head';
    this.#head.begin();
    if (this.kept > 0 && !this.#isReading) this.#run(NOTHING, 0, 0);
  }

  /** The message at hand has become a tunnel: everything that comes is its body. */
  tunnel(): void {
    if (this.#state === 'stopped') return;
    this.#body.begin('tunnel', 0);
    this.#state = 'body';
    if (this.kept > 0 && !this.#isReading) this.#run(NOTHING, 0, 0);
  }

  receive(bytes: Buffer, from: number, to: number): void {
    this.#run(bytes, from, to);
  }

  /** The peer sends no more. False when that is in the middle of a message; the sink knows by then. */
  end(): boolean {
    if (this.#state === 'stopped' || this.isBetween) return true;
    if (this.#state === 'body' && this.#body.endsHere()) {
      this.#finish(0);
      return true;
    }
    this.#fail(FAULT.truncated);
    return false;
  }

  #run(bytes: Buffer, from: number, to: number): void {
    let at = from;
    this.#isReading = true;
    try {
      if (this.kept > 0) at = this.#readKept(bytes, from, to);
      while (at < to && (this.#state === 'head' || this.#state === 'body')) {
        const end = this.#step(bytes, at, to);
        if (end < 0) return;
        if (end === at && this.#state === 'head') break;
        at = end;
      }
      if (at < to && this.#state !== 'stopped') this.#keep(bytes, at, to);
    } finally {
      this.#isReading = false;
    }
  }

  /** Reads what was kept together with what has come; returns where to go on in the latter. */
  #readKept(bytes: Buffer, from: number, to: number): number {
    if (to > from) this.#keep(bytes, from, to);
    const kept = this.#kept;
    let at = this.#from;
    const end = this.#to;
    while (at < end && (this.#state === 'head' || this.#state === 'body')) {
      const next = this.#step(kept, at, end);
      if (next < 0) return to;
      if (next === at && this.#state === 'head') break;
      at = next;
    }
    if (this.#state === 'stopped') return to;
    this.#from = at;
    if (at === end) {
      this.#from = 0;
      this.#to = 0;
      if (kept.length > SMALLEST) this.#kept = NOTHING;
    }
    return to;
  }

  /** Reads a head or a part of a body; returns where it has stopped, -1 after a fault. */
  #step(bytes: Buffer, at: number, to: number): number {
    if (this.#state === 'body') return this.#readBody(bytes, at, to);
    const end = this.#head.read(bytes, at, to);
    if (end === 0) return at;
    if (end < 0) return this.#fail(this.#head.fault ?? FAULT.startLine);
    const body = this.#sink.onHead();
    if (this.#state !== 'head') return this.#state === 'stopped' ? -1 : end;
    if (body === undefined) {
      this.#head.begin();
      return end;
    }
    this.#state = 'body';
    this.#body.begin(body.kind, body.length);
    if (this.#body.isDone) this.#finish(to - end);
    return end;
  }

  #readBody(bytes: Buffer, at: number, to: number): number {
    const end = this.#body.read(bytes, at, to);
    if (this.#state !== 'body') return this.#state === 'stopped' ? -1 : end;
    if (end < 0) return this.#fail(this.#body.fault ?? FAULT.chunkSize);
    if (this.#body.isDone) this.#finish(to - end);
    return end;
  }

  #finish(behind: number): void {
    this.#behind = behind;
    this.#state = 'between';
    this.#sink.onMessageEnd(this.#body.trailers);
  }

  #fail(fault: Fault): number {
    this.stop();
    this.#sink.onFault(fault);
    return -1;
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    const had = this.kept;
    const needed = had + to - from;
    if (this.#kept.length - this.#from < needed) {
      const roomy = this.#kept.length >= needed ? this.#kept : undefined;
      const into = roomy ?? Buffer.allocUnsafeSlow(Math.max(SMALLEST, 2 * needed));
      this.#kept.copy(into, 0, this.#from, this.#to);
      this.#kept = into;
      this.#from = 0;
      this.#to = had;
    }
    bytes.copy(this.#kept, this.#to, from, to);
    this.#to += to - from;
  }
}

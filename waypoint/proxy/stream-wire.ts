/**
 * A wire over a stream of a link: one connection of somebody, carried by the agent.
 *
 * While the wire is held the peer gets no credit, so at most one stream window comes.
 */
import type { Stage, StageUser } from '#common/engine/tls-stage.ts';
import { MeshError } from '#common/errors.ts';
import type { ConnectResponse } from '#common/hbone/headers.ts';
import type { Outlet } from '#common/hbone/outlet.ts';
import type { Stream, StreamOwner } from '#common/hbone/stream.ts';
import { CODE, codeName } from '#common/http2/frames.ts';
import type { Slab } from '#common/sys/slab.ts';
import * as limits from './limits.ts';
import { StreamOutput } from './stream-output.ts';
import type { Wire, WireOwner } from './wire.ts';

export class StreamWire implements Wire, StreamOwner, StageUser {
  owner: WireOwner;
  closed = false;
  readonly #stream: Stream;
  readonly #stage: Stage;
  readonly #output: StreamOutput;
  #isHeld = false;
  #owed = 0;
  #wasBlocked = false;
  #ends = false;

  constructor(
    deps: { readonly stream: Stream; readonly outlet: Outlet; readonly stage: Stage },
    owner: WireOwner,
    /** False: the answer to our CONNECT is awaited, and what is written waits for it. */
    isOpen: boolean,
  ) {
    this.#stream = deps.stream;
    this.#stage = deps.stage;
    this.#output = new StreamOutput(deps.stream, deps.outlet, isOpen);
    this.owner = owner;
    deps.stream.owner = this;
  }

  get bytes(): Buffer {
    return this.#stage.slab.bytes;
  }

  get queued(): number {
    return this.#output.queued;
  }

  get blocked(): boolean {
    if (this.#output.queued <= limits.HIGH_WATER_BYTES) return false;
    this.#wasBlocked = true;
    return true;
  }

  reserve(length: number): number {
    return this.#stage.reserve(this, length);
  }

  commit(length: number): void {
    this.#stage.commit(this, length);
  }

  write(bytes: Buffer, from: number, to: number): void {
    const length = to - from;
    if (length <= limits.COPIED_BODY_BYTES) {
      const at = this.reserve(length);
      bytes.copy(this.bytes, at, from, to);
      this.commit(length);
      return;
    }
    this.#stage.flushFor(this);
    this.#output.write(bytes, from, to);
  }

  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    const owed = this.#owed;
    this.#owed = 0;
    if (owed > 0) this.#stream.consumed(owed);
  }

  endWrite(): void {
    this.#stage.flushFor(this);
    this.#ends = true;
    this.#output.end();
    this.#closeIfDone();
  }

  destroy(reset: boolean, error?: MeshError): void {
    if (this.closed) return;
    this.#stage.dropFor(this);
    this.#stream.reset(reset ? CODE.connectError : CODE.cancel);
    this.#close(error);
  }

  sealStaged(stage: Slab, length: number): void {
    this.#output.write(stage.bytes, 0, length);
  }

  onResponse(status: number, { reason }: ConnectResponse): void {
    if (status >= 200 && status <= 299) {
      this.#output.open();
      return;
    }
    const code = status === 401 ? 'POLICY_DENIED' : 'CONNECT_FAILED';
    const found = `the agent answered ${status}${reason === undefined ? '' : ` (${reason})`}`;
    this.#stream.reset(CODE.cancel);
    this.#close(new MeshError(code, `Cannot connect over the link: ${found}`));
  }

  onData(bytes: Buffer, from: number, to: number): void {
    if (this.closed) return;
    this.owner.onBytes(bytes, from, to);
    if (this.#isHeld) this.#owed += to - from;
    else if (!this.closed) this.#stream.consumed(to - from);
  }

  onEnd(): void {
    if (this.closed) return;
    this.owner.onEnd();
    this.#closeIfDone();
  }

  onReset(code: number): void {
    const error = new MeshError('CONNECT_FAILED', `Cannot go on: reset (${codeName(code)})`);
    this.#close(error);
  }

  onSendRoom(): void {
    this.#output.drain();
    this.#closeIfDone();
    if (!this.#wasBlocked || this.#output.queued >= limits.LOW_WATER_BYTES) return;
    this.#wasBlocked = false;
    this.owner.onDrained();
  }

  onLost(error: MeshError): void {
    this.#close(error);
  }

  #closeIfDone(): void {
    if (this.#ends && this.#stream.closed) this.#close(undefined);
  }

  #close(error: MeshError | undefined): void {
    if (this.closed) return;
    this.closed = true;
    this.#stage.dropFor(this);
    this.#output.clear();
    this.release();
    this.owner.onClosed(error);
  }
}

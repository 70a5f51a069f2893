/**
 * One try to reach an endpoint through a tunnel: a tunnel from the pool, a stream, its answer.
 *
 * It ends exactly once, by carrying or by failing; a failure says whether somebody else, or the same
 * endpoint over another tunnel, may be tried. Nothing has been sent by then but the request.
 */
import type { Task } from '#common/engine/loop.ts';
import type { Timer } from '#common/engine/timers.ts';
import { MeshError } from '#common/errors.ts';
import type { ConnectRequest, ConnectResponse } from '#common/hbone/headers.ts';
import type { Stream, StreamOwner } from '#common/hbone/stream.ts';
import { CODE } from '#common/http2/frames.ts';
import type { Slab } from '#common/sys/slab.ts';
import type { ClientTunnel } from './client-tunnel.ts';
import type { WayState } from './handover-state.ts';
import * as limits from './limits.ts';
import type { Pod } from './pod.ts';
import type { Hop, Seeker } from './pool.ts';

export type Retry = 'no' | 'elsewhere' | 'again';

export interface Carried {
  readonly stream: Stream;
  /** Where the tunnel's frames are written. */
  readonly stage: Slab;
}

export interface AttemptOwner {
  /** A tunnel is there: what shall be said to it? */
  requestFor(tunnel: ClientTunnel): ConnectRequest;
  onCarried(carried: Carried): void;
  onAttemptFailed(error: MeshError, retry: Retry): void;
}

export class TunnelAttempt implements Seeker<ClientTunnel>, StreamOwner, Task {
  readonly #pod: Pod;
  readonly #hop: Hop;
  readonly #owner: AttemptOwner;
  #stream: Stream | undefined;
  #stage: Slab | undefined;
  #timer: Timer | undefined;
  #authority = '';
  #isOver = false;

  constructor(pod: Pod, hop: Hop, owner: AttemptOwner) {
    this.#pod = pod;
    this.#hop = hop;
    this.#owner = owner;
  }

  begin(): void {
    this.#pod.pool.acquire(this.#hop, this);
  }

  /** The request that awaits its answer; undefined when none is out. */
  state(): Extract<WayState, { kind: 'asked' }> | undefined {
    if (this.#isOver || this.#stream === undefined) return undefined;
    return { kind: 'asked', stream: this.#stream.state(), authority: this.#authority };
  }

  /** Takes the place of `begin`: the request is out already. */
  restore(
    tunnel: ClientTunnel,
    { stream, authority }: { stream: Stream; authority: string },
  ): void {
    this.#authority = authority;
    this.#stage = tunnel.stage;
    this.#stream = stream;
    stream.owner = this;
    this.#timer = this.#pod.shared.loop.timers.after(limits.RESPONSE_TIMEOUT_MS, this);
  }

  /** Another process goes on with it; what is not out yet begins anew there. */
  release(): void {
    if (this.#isOver) return;
    this.#end();
    this.#pod.pool.cancel(this.#hop, this);
  }

  /** Gives up; the owner hears nothing more. */
  cancel(): void {
    if (this.#isOver) return;
    this.#end();
    this.#pod.pool.cancel(this.#hop, this);
    this.#stream?.reset(CODE.cancel);
  }

  onTunnel(tunnel: ClientTunnel): void {
    const request = this.#owner.requestFor(tunnel);
    this.#authority = request.authority;
    try {
      this.#stream = tunnel.open(request, this);
    } catch (error) {
      this.#fail(asMeshError(error), 'again');
      return;
    }
    this.#stage = tunnel.stage;
    this.#timer = this.#pod.shared.loop.timers.after(limits.RESPONSE_TIMEOUT_MS, this);
  }

  onNoTunnel(error: MeshError): void {
    this.#fail(error, error.code === 'STOPPING' ? 'no' : 'elsewhere');
  }

  onResponse(status: number, { reason }: ConnectResponse): void {
    const stream = this.#stream;
    const stage = this.#stage;
    if (this.#isOver || stream === undefined || stage === undefined) return;
    if (status === 200) {
      this.#end();
      this.#owner.onCarried({ stream, stage });
      return;
    }
    stream.reset(CODE.cancel);
    const why = reason === undefined ? '' : ` (${reason})`;
    // 503: it could not be reached there, perhaps it can elsewhere. All else is a refusal.
    this.#fail(this.#failure(`http status: ${status}${why}`), status === 503 ? 'elsewhere' : 'no');
  }

  onData(): void {
    // The session gives no data before the answer.
  }

  onEnd(): void {
    this.#fail(this.#failure('the stream ended before its answer'), 'elsewhere');
  }

  onReset(code: number): void {
    const retry = code === CODE.refusedStream ? 'again' : 'elsewhere';
    this.#fail(this.#failure(`the stream was reset with code ${code}`), retry);
  }

  onSendRoom(): void {
    // Nothing is sent before the answer.
  }

  /** A tunnel that stood in the pool may have been dead for a while: its peer is tried again. */
  onLost(error: MeshError): void {
    this.#fail(error, 'again');
  }

  /** The answer has not come in time. */
  run(): void {
    this.#stream?.reset(CODE.cancel);
    this.#fail(this.#failure('no answer to CONNECT in time'), 'elsewhere');
  }

  #failure(found: string): MeshError {
    return new MeshError('HBONE_CONNECT_FAILED', `Cannot reach "${this.#authority}": ${found}`, {
      details: { authority: this.#authority },
    });
  }

  #fail(error: MeshError, retry: Retry): void {
    if (this.#isOver) return;
    this.#end();
    this.#owner.onAttemptFailed(error, retry);
  }

  #end(): void {
    this.#isOver = true;
    if (this.#timer !== undefined) this.#pod.shared.loop.timers.cancel(this.#timer);
  }
}

function asMeshError(error: unknown): MeshError {
  if (error instanceof MeshError) return error;
  return new MeshError('TUNNEL_LOST', 'Cannot open a stream', { cause: error });
}

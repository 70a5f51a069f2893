/**
 * One request and its response: decided, sent on, and brought to exactly one end.
 *
 * The side that asks and the side that answers know nothing of each other, nor of each other's
 * protocol. Bytes pass as they come; when one side cannot take more, the other is not read. A side
 * that has said its last word, or was cut, is never called again. An answer of our
 * own is given only while nothing of another has been sent.
 */
import type { Timer } from '#common/engine/timers.ts';
import type { Task } from '#common/engine/loop.ts';
import type { ErrorCode, MeshError } from '#common/errors.ts';
import type { Fields } from './fields.ts';
import { ownAnswer, failureOf, type OwnAnswer } from './own-answer.ts';
import type { Request } from './request.ts';
import type { Response } from './response.ts';
import type { Caller, Ending, Forward } from './router.ts';
import type { Shared } from './shared.ts';

/** The side from which the request comes. */
export interface Asker {
  readonly request: Request;
  readonly caller: Caller;
  sendInform(response: Response): void;
  sendHead(response: Response): void;
  sendBody(bytes: Buffer, from: number, to: number): void;
  /** The response is complete; the exchange is over for this side. */
  sendEnd(trailers: Fields | undefined): void;
  sendOwn(answer: OwnAnswer): void;
  /** The response cannot be completed: the client must notice. */
  cut(): void;
  holdRequest(): void;
  releaseRequest(): void;
  /** A tunnel from here on, in both directions. */
  openTunnel(): void;
  readonly isBlocked: boolean;
}

/** The side that answers: a request under way at an endpoint. */
export interface Answerer {
  sendHead(request: Request): void;
  sendBody(bytes: Buffer, from: number, to: number): void;
  sendEnd(trailers: Fields | undefined): void;
  /** Gives up; the exchange hears nothing any more. */
  cut(): void;
  holdResponse(): void;
  releaseResponse(): void;
  openTunnel(): void;
  readonly isBlocked: boolean;
}

/** Nothing of the request can have reached an application. */
const NOT_CONNECTED: ReadonlySet<ErrorCode> = new Set(['CONNECT_FAILED', 'CONNECT_TIMEOUT']);

type Phase = 'idle' | 'asked' | 'answering' | 'tunnel';

export class Exchange implements Task {
  readonly #shared: Shared;
  readonly #asker: Asker;
  #answerer: Answerer | undefined;
  #forward: Forward | undefined;
  #phase: Phase = 'idle';
  #isRequestOver = false;
  #isResponseOver = false;
  #timer: Timer | undefined;
  /** How the request that was sent on would be said to have ended, if it did now. */
  #ending: Ending = 'abandoned';
  #status = 0;

  constructor(shared: Shared, asker: Asker) {
    this.#shared = shared;
    this.#asker = asker;
  }

  /** Method of the request under way. */
  get method(): string {
    return this.#asker.request.method;
  }

  /** Nothing is under way. */
  get isIdle(): boolean {
    return this.#phase === 'idle';
  }

  get isTunnel(): boolean {
    return this.#phase === 'tunnel';
  }

  /** The head of a request is at hand. */
  begin(): void {
    const { request, caller } = this.#asker;
    this.#phase = 'asked';
    this.#isRequestOver = false;
    this.#isResponseOver = false;
    this.#ending = 'abandoned';
    this.#status = 0;
    this.#shared.counters.add('requests');
    if (request.method === 'CONNECT') {
      this.#answer(ownAnswer(501, 'REQUEST_INVALID'));
      return;
    }
    request.claim(caller);
    const decision = this.#shared.router.decide(request, caller);
    if (decision.kind === 'answer') {
      this.#answer(decision);
      return;
    }
    this.#forward = decision;
    decision.onRequest?.(request.fields);
    if (decision.host !== undefined) request.rehost(decision.host);
    if (decision.target !== undefined) request.target = decision.target;
    if (decision.timeoutMs > 0) this.#arm(decision.timeoutMs);
    this.#send(decision);
  }

  onRequestBody(bytes: Buffer, from: number, to: number): void {
    const answerer = this.#answerer;
    if (answerer === undefined) return;
    answerer.sendBody(bytes, from, to);
    if (answerer.isBlocked) this.#asker.holdRequest();
  }

  onRequestEnd(trailers: Fields | undefined): void {
    this.#isRequestOver = true;
    this.#answerer?.sendEnd(trailers);
    if (this.#isResponseOver) this.#end();
  }

  /** The client is gone, or has broken a rule: nothing can be said to it any more. */
  onAskerGone(): void {
    if (this.#phase === 'idle') return;
    const answerer = this.#answerer;
    this.#end();
    answerer?.cut();
  }

  /** The client takes more again. */
  onAskerDrained(): void {
    this.#answerer?.releaseResponse();
  }

  onInform(response: Response): void {
    if (this.#phase === 'asked') this.#asker.sendInform(response);
  }

  onResponseHead(response: Response): void {
    if (this.#phase !== 'asked') return;
    this.#phase = response.status === 101 ? 'tunnel' : 'answering';
    this.#status = response.status;
    this.#shared.counters.response(response.status);
    this.#forward?.onResponse?.(response.fields);
    this.#asker.sendHead(response);
    if (this.#phase !== 'tunnel') return;
    // The request has ended as a message; as a direction it begins here.
    this.#isRequestOver = false;
    this.#disarm();
    this.#asker.openTunnel();
    this.#answerer?.openTunnel();
  }

  onResponseBody(bytes: Buffer, from: number, to: number): void {
    this.#asker.sendBody(bytes, from, to);
    if (this.#asker.isBlocked) this.#answerer?.holdResponse();
  }

  onResponseEnd(trailers: Fields | undefined): void {
    if (this.#phase === 'idle') return;
    const answerer = this.#answerer;
    const isTunnel = this.#phase === 'tunnel';
    this.#isResponseOver = true;
    this.#ending = 'answered';
    if (isTunnel && !this.#isRequestOver) {
      this.#asker.sendEnd(trailers);
      return;
    }
    const isRequestOver = this.#isRequestOver;
    // Before the client hears of it: it may begin its next request within that call.
    this.#end();
    if (!isRequestOver) answerer?.cut();
    this.#asker.sendEnd(trailers);
  }

  /** The endpoint takes more again. */
  onAnswererDrained(): void {
    if (this.#phase !== 'idle') this.#asker.releaseRequest();
  }

  /** Another connection takes the place of one that the endpoint had given up before. */
  onReplaced(answerer: Answerer): void {
    this.#answerer = answerer;
    this.#shared.counters.add('retries');
  }

  /** The endpoint could not be reached, or failed before the end of its response. */
  onAnswererFailed(error: MeshError | undefined): void {
    if (this.#phase === 'idle') return;
    this.#answerer = undefined;
    this.#ending =
      error !== undefined && NOT_CONNECTED.has(error.code) ? 'connect-failed' : 'failed';
    if (this.#phase === 'asked') {
      this.#answer(failureOf(error));
      return;
    }
    this.#shared.counters.add('cut');
    this.#end();
    this.#asker.cut();
  }

  /** The time of the request is over. */
  run(): void {
    if (this.#phase === 'idle') return;
    const answerer = this.#answerer;
    this.#answerer = undefined;
    answerer?.cut();
    this.#ending = 'timeout';
    if (this.#phase === 'asked') this.#answer(ownAnswer(504, 'REQUEST_TIMEOUT'));
    else {
      this.#end();
      this.#asker.cut();
    }
  }

  #send(forward: Forward): void {
    const { request, caller } = this.#asker;
    const answerer = this.#shared.pools.take(forward.to, caller.source, this);
    if (answerer === undefined) {
      this.#answer(ownAnswer(503, 'LIMIT_REACHED'));
      return;
    }
    this.#answerer = answerer;
    answerer.sendHead(request);
    if (answerer.isBlocked) this.#asker.holdRequest();
  }

  #answer(answer: OwnAnswer): void {
    this.#shared.counters.response(answer.status);
    this.#shared.counters.add('ownAnswers');
    this.#end();
    this.#asker.sendOwn(answer);
  }

  #end(): void {
    const forward = this.#forward;
    this.#phase = 'idle';
    this.#answerer = undefined;
    this.#forward = undefined;
    this.#disarm();
    forward?.onEnd?.(this.#ending, this.#status);
  }

  #arm(ms: number): void {
    const { timers } = this.#shared.loop;
    if (this.#timer === undefined) this.#timer = timers.after(ms, this);
    else timers.rearm(this.#timer, ms);
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.#shared.loop.timers.cancel(this.#timer);
  }
}

/**
 * The conversation with the controller's directory source: what should run comes in, what does run
 * goes out.
 *
 * Facts are sent as they are at the moment of sending, one request at a time, so a pod that changes
 * quickly costs one entry. A controller that was started again asks for everything once more.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '#common/log.ts';
import { callSocket } from '../unix-http.ts';
import { decodeDesired } from './desired.ts';
import type { DesiredState } from '#common/control/desired.ts';
import type { PodRuntime } from './pod.ts';

const POLL_TIMEOUT_MS = 40_000;
const RETRY_MS = 300;

export interface ControllerLinkDeps {
  readonly socket: string;
  readonly log: Logger;
  readonly onDesired: (state: DesiredState) => void;
  /** Everything that runs now. */
  readonly runtime: () => readonly PodRuntime[];
}

export class ControllerLink {
  readonly #deps: ControllerLinkDeps;
  readonly #stopped = new AbortController();
  #changed = new Map<string, PodRuntime>();
  #gone = new Set<string>();
  #wake = Promise.withResolvers<void>();
  #epoch = '';
  #work: Promise<unknown> = Promise.resolve();

  constructor(deps: ControllerLinkDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#work = Promise.all([this.#receive(), this.#send()]);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#wake.resolve();
    await this.#work;
  }

  /** A pod is as told. */
  tell(runtime: PodRuntime): void {
    this.#changed.set(runtime.podUid, runtime);
    this.#wake.resolve();
  }

  /** A pod has ended and its addresses are free. */
  tellGone(podUid: string): void {
    this.#changed.delete(podUid);
    this.#gone.add(podUid);
    this.#wake.resolve();
  }

  /** Never rejects. */
  async #receive(): Promise<void> {
    const { signal } = this.#stopped;
    let after = '';
    let silent = false;
    while (!signal.aborted) {
      try {
        const state = decodeDesired(await this.#call('GET', `/v1/directory/desired${after}`));
        silent = false;
        after = `?after=${state.version}`;
        if (state.epoch !== this.#epoch) this.#again(state.epoch);
        this.#deps.onDesired(state);
      } catch (error) {
        after = '';
        if (signal.aborted) return;
        if (!silent) this.#deps.log.warn('controller gives no desired state', { error });
        silent = true;
        await this.#pause();
      }
    }
  }

  /** Never rejects. */
  async #send(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.#wake.promise;
      this.#wake = Promise.withResolvers<void>();
      const [changed, gone] = [this.#changed, this.#gone];
      if (changed.size + gone.size === 0) continue;
      [this.#changed, this.#gone] = [new Map(), new Set()];
      const patch = { pods: [...changed.values()], gone: [...gone] };
      try {
        await this.#call('POST', '/v1/directory/runtime', JSON.stringify(patch));
      } catch (error) {
        if (signal.aborted) return;
        // Newer facts win over those that could not be sent.
        this.#changed = new Map([...changed, ...this.#changed]);
        this.#gone = new Set([...gone, ...this.#gone]);
        for (const podUid of this.#gone) this.#changed.delete(podUid);
        this.#wake.resolve();
        this.#deps.log.debug('controller takes no runtime facts', { error });
        await this.#pause();
      }
    }
  }

  #again(epoch: string): void {
    this.#epoch = epoch;
    for (const runtime of this.#deps.runtime()) this.tell(runtime);
  }

  async #call(method: 'GET' | 'POST', path: string, body?: string): Promise<string> {
    return callSocket({
      socket: this.#deps.socket,
      method,
      path,
      ...(body === undefined ? {} : { body }),
      signal: this.#stopped.signal,
      timeoutMs: POLL_TIMEOUT_MS,
      peer: 'the controller',
      code: 'CONTROLLER_UNREACHABLE',
    });
  }

  async #pause(): Promise<void> {
    await delay(RETRY_MS, undefined, { signal: this.#stopped.signal }).catch(() => {});
  }
}

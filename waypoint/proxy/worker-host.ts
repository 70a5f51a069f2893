/** One worker of the proxy as main sees it: its thread, its eventfd, its counters. */
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { MeshError } from '#common/errors.ts';
import { openEvent, signalEvent } from '#common/sys/epoll.ts';
import { Counters, newCounterMemory } from './counters.ts';
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts';

/** Enough that little of what lives as long as a request is copied, and small enough for the cache. */
const YOUNG_MB = 12;

export interface WorkerHostOptions extends Omit<WorkerStart, 'event' | 'counters'> {
  readonly onMessage: (message: FromWorker) => void;
  /** The thread has ended without being told to. */
  readonly onDeath: (cause: unknown) => void;
}

export class WorkerHost {
  readonly counters: Counters;
  readonly #event: number;
  readonly #thread: Worker;
  readonly #exited: Promise<unknown>;
  #state: 'running' | 'stopping' | 'ended' = 'running';
  #failure: unknown;

  constructor({ onMessage, onDeath, ...rest }: WorkerHostOptions) {
    const event = openEvent();
    if (event < 0) throw new MeshError('SYSTEM_CALL_FAILED', 'Cannot make an eventfd');
    const counters = newCounterMemory();
    this.counters = new Counters(counters);
    this.#event = event;
    const workerData: WorkerStart = { ...rest, event, counters };
    // A coverage tool's loader needs a Node event loop, which a worker does not run.
    const { NODE_OPTIONS: _, ...env } = process.env;
    this.#thread = new Worker(new URL('worker.ts', import.meta.url), {
      workerData,
      env,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
      name: `proxy ${rest.worker}`,
    });
    this.#exited = once(this.#thread, 'exit').catch(() => undefined);
    this.#thread.on('message', onMessage);
    this.#thread.on('error', (error) => (this.#failure = error));
    this.#thread.on('exit', (code) => {
      const wasTold = this.#state === 'stopping';
      this.#state = 'ended';
      closeSync(this.#event);
      if (!wasTold) onDeath(this.#failure ?? new Error(`exit code ${code}`));
    });
  }

  post(message: ToWorker): void {
    if (this.#state !== 'running') return;
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#thread.postMessage(message);
    signalEvent(this.#event);
  }

  /** Ends the thread; what it had open is closed with the process. */
  async stop(): Promise<void> {
    this.post({ kind: 'stop' });
    if (this.#state === 'running') this.#state = 'stopping';
    await this.#exited;
  }
}

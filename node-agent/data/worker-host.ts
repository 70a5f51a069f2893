/**
 * One data worker as main sees it: its thread, its eventfd, its counters, what it was asked.
 *
 * A worker blocks in epoll and runs no Node event loop, so a message is posted first and the eventfd
 * raised after it. A request is answered, or fails when the worker ends: nobody waits for the dead.
 */
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { MeshError } from '#common/errors.ts';
import { openEvent, signalEvent } from '#common/sys/epoll.ts';
import { FlowReader, newCounterMemory } from './flow-table.ts';
import { firstPriority } from './precedence.ts';
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts';

export interface WorkerOwner {
  onMessage(message: FromWorker, from: WorkerHost): void;
  /** The thread has ended without being told to. */
  onDeath(host: WorkerHost, cause: unknown): void;
}

type Ask = Extract<ToWorker, { readonly ask: number }>;
/** A request without its number. */
type Request = Ask extends infer R ? (R extends Ask ? Omit<R, 'ask'> : never) : never;
type Reply = Extract<FromWorker, { readonly ask: number }>;

/**
 * For what lives as long as a connection's beginning: enough that little of it is copied, and small
 * enough for the processor's cache. By default it grows to 48 MB and stays there.
 */
const YOUNG_MB = 12;

export class WorkerHost {
  readonly number: number;
  readonly event: number;
  readonly flows: FlowReader;
  readonly #thread: Worker;
  readonly #owner: WorkerOwner;
  readonly #asked = new Map<number, PromiseWithResolvers<Reply>>();
  readonly #exited: Promise<unknown>;
  #lastAsk = 0;
  #state: 'running' | 'stopping' | 'ended' = 'running';
  #failure: unknown;

  constructor(number: number, accessLog: WorkerStart['accessLog'], owner: WorkerOwner) {
    const event = openEvent();
    if (event < 0) throw new MeshError('SYSTEM_CALL_FAILED', 'Cannot make an eventfd');
    this.number = number;
    this.event = event;
    this.#owner = owner;
    const counters = newCounterMemory();
    this.flows = new FlowReader(counters);
    const workerData: WorkerStart = {
      worker: number,
      event,
      counters,
      accessLog,
      priority: firstPriority(),
    };
    // A coverage tool's loader needs a Node event loop, which a data worker does not run.
    const { NODE_OPTIONS: _, ...env } = process.env;
    this.#thread = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData,
      env,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
      name: `data ${number}`,
    });
    this.#exited = once(this.#thread, 'exit').catch(() => undefined);
    this.#thread.on('message', (message: FromWorker) => this.#take(message));
    this.#thread.on('error', (error) => (this.#failure = error));
    this.#thread.on('exit', (code) => this.#ended(code));
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  post(message: ToWorker): void {
    if (this.#state !== 'running') return;
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#thread.postMessage(message);
    signalEvent(this.event);
  }

  async ask(request: Request): Promise<Reply> {
    if (this.#state !== 'running') throw gone(this.number);
    this.#lastAsk += 1;
    const reply = Promise.withResolvers<Reply>();
    this.#asked.set(this.#lastAsk, reply);
    this.post({ ...request, ask: this.#lastAsk });
    return reply.promise;
  }

  /** Ends the thread where it stands, as a fault in it would; the owner hears of a death. */
  kill(): boolean {
    if (this.#state !== 'running') return false;
    void this.#thread.terminate();
    signalEvent(this.event);
    return true;
  }

  /** Ends the thread; what it had open is closed by it. */
  async stop(): Promise<void> {
    this.post({ kind: 'stop' });
    if (this.#state === 'running') this.#state = 'stopping';
    await this.#exited;
  }

  #take(message: FromWorker): void {
    if (message.kind === 'labels') this.flows.learn(message.row, message.labels);
    if (message.kind === 'ended') this.flows.tookRecords(message.count);
    if (!('ask' in message)) {
      this.#owner.onMessage(message, this);
      return;
    }
    this.#asked.get(message.ask)?.resolve(message);
    this.#asked.delete(message.ask);
  }

  #ended(code: number): void {
    const wasTold = this.#state === 'stopping';
    this.#state = 'ended';
    for (const { reject } of this.#asked.values()) reject(gone(this.number));
    this.#asked.clear();
    if (!wasTold) this.#owner.onDeath(this, this.#failure ?? new Error(`exit code ${code}`));
    closeSync(this.event);
  }
}

function gone(worker: number): MeshError {
  return new MeshError('STOPPING', `Cannot ask data worker ${worker}: it has ended`);
}

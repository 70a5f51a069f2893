/** What main and a worker of the proxy say to each other: plain data. Main raises the worker's eventfd. */
import type { Level } from '#common/log.ts';

export type ToWorker =
  /** Routes as text, which main has checked. */
  | { readonly kind: 'routes'; readonly text: string }
  /** Take nothing new and let what is under way end; answered when nothing is left. */
  | { readonly kind: 'drain' }
  | { readonly kind: 'stop' };

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'drained' }
  | { readonly kind: 'link'; readonly isUp: boolean }
  | {
      readonly kind: 'log';
      readonly level: Level;
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>>;
    };

/** What a worker is born with. */
export interface WorkerStart {
  readonly worker: number;
  /** Raised by main after each message. */
  readonly event: number;
  readonly counters: SharedArrayBuffer;
  /** Listening sockets: for clients that connect by themselves, and for links of the agent. */
  readonly listeners: readonly number[];
  readonly linkListener: number | undefined;
  /** Name of the agent's end, with its leading NUL; undefined: endpoints are dialled directly. */
  readonly linkOut: string | undefined;
  readonly agentUid: number;
  readonly routes: string;
}

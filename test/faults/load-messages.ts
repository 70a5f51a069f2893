/** What a fault test and its load say to each other over IPC: plain data. */

/** A pod in which the load serves and from which it calls. */
export interface LoadPod {
  readonly name: string;
  /** Path of its network namespace. */
  readonly netns: string;
  readonly addresses: readonly string[];
}

/** Calls go from one pod to an address of another. */
export interface Pair {
  readonly from: string;
  readonly to: string;
}

export interface LoadPlan {
  readonly pods: readonly LoadPod[];
  /** Where the standing connections go; they take these in turn. */
  readonly pairs: readonly Pair[];
  readonly connections: number;
  /** Requests each second over all of them, at fixed times whatever becomes of the earlier ones. */
  readonly requestsPerSecond: number;
  readonly requestBytes: number;
  /** MiB each second, in both directions, of one more connection. 0: there is none. */
  readonly bulkMibPerSecond: number;
  /** New connections each second on these pairs, one request each. */
  readonly fresh: { readonly perSecond: number; readonly pairs: readonly Pair[] };
}

export type LoadOrder =
  | { readonly order: 'start'; readonly plan: LoadPlan }
  | { readonly order: 'take' }
  | { readonly order: 'stop' };

/** What happened since the figures were last taken. */
export interface LoadFigures {
  readonly seconds: number;
  readonly requests: number;
  readonly failed: number;
  /** Answers that were not what was sent, byte for byte, in either direction. */
  readonly wrong: number;
  /** Answers from a server that saw another client address. */
  readonly misidentified: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
  /** Standing connections that ended before they should. */
  readonly broken: number;
  readonly bulkMib: number;
  readonly fresh: number;
  readonly freshFailed: number;
  readonly freshP99Ms: number;
  readonly freshWorstMs: number;
  /** Longest time, of any pair, from the first new connection that failed to the next that did not. */
  readonly refusedMs: number;
  /** Longest time, of any pair, from one new connection that worked to the next. */
  readonly gapMs: number;
  /** When the last request that failed, or took longer than half a second, had ended; from the start. */
  readonly troubledMs: number;
  /** How often what went wrong. */
  readonly errors: Readonly<Record<string, number>>;
}

export type LoadAnswer =
  | { readonly answer: 'started' }
  | { readonly answer: 'figures'; readonly figures: LoadFigures }
  | { readonly answer: 'failed'; readonly why: string };

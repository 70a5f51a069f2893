/**
 * What main and a data worker say to each other: plain data, structured-cloned, nothing else.
 *
 * Main posts and then raises the worker's eventfd; a worker posts whenever it likes. Descriptors are
 * numbers: threads of a process share one table. A request that carries `ask` is answered once.
 */
import type { Level } from '#common/log.ts';
import type { Identity } from '#common/identity.ts';
import type { AccessLog } from './access-line.ts';
import type { FlowLabels } from './flow-table.ts';
import type { Ended } from './outbox.ts';
import type { Peer } from './offenders.ts';
import type { ProfileKind } from './profile.ts';
import type { ConnectionInfo, Direction } from './record.ts';

export interface Credentials {
  /** Leaf first, then intermediates. */
  readonly chainPem: string;
  readonly keyPem: string;
  readonly rootsPem: readonly string[];
}

export type Service = 'outbound' | 'inbound' | 'tunnel' | 'dns-tcp' | 'dns-udp';

export interface Listener {
  readonly service: Service;
  readonly fd: number;
}

export interface DnsOptions {
  /** Where questions go that the mesh does not answer; IP addresses. */
  readonly resolvers: readonly { readonly address: string; readonly port: number }[];
  /** `cluster.local` as a rule. */
  readonly clusterDomain: string;
}

export interface PodOptions {
  /** Absent: this pod's DNS is not captured. */
  readonly dns?: DnsOptions;
  /** False where a CNI cannot carry foreign source addresses inside a pod (hbone.md 2.5). */
  readonly keepSourceAddress?: boolean;
}

/** A pod as a worker knows it. */
export interface PodPlan {
  readonly podUid: string;
  /** Uid of its workload. */
  readonly uid: string;
  readonly identity: Identity;
  readonly addresses: readonly string[];
  /** Its network namespace. */
  readonly netns: number;
  readonly options: PodOptions;
}

/** A connection that the proof is about to make; it is reported, never relayed. */
export interface ProbeToken {
  readonly podUid: string;
  readonly address: string;
  readonly port: number;
}

export interface ProbeArrival extends ProbeToken {
  readonly direction: Direction;
  /** Port from which it came. */
  readonly sourcePort: number;
}

/** A unit (handover-state.ts) as JSON, its descriptors, and the file with what its sockets queued. */
export interface GivenUnit {
  readonly state: string;
  readonly descriptors: readonly number[];
  readonly bytes: number;
}

export type ToWorker =
  | { readonly kind: 'update'; readonly packed: Uint8Array }
  | { readonly kind: 'credentials'; readonly identity: Identity; readonly credentials: Credentials }
  | { readonly kind: 'forget credentials'; readonly identity: Identity }
  | { readonly kind: 'pod'; readonly pod: PodPlan; readonly listeners: readonly Listener[] }
  | {
      readonly kind: 'remove pod';
      readonly ask: number;
      readonly podUid: string;
      readonly drainMs: number;
    }
  /** Another worker accepts there from now on; the descriptors stay open. */
  | { readonly kind: 'release listeners'; readonly ask: number; readonly fds: readonly number[] }
  /** Answered when all that was posted before is in force. */
  | { readonly kind: 'settle'; readonly ask: number }
  | { readonly kind: 'expect probe'; readonly ask: number; readonly token: ProbeToken }
  | { readonly kind: 'forget probe'; readonly token: ProbeToken }
  | { readonly kind: 'resolved'; readonly query: number; readonly addresses: readonly string[] }
  | { readonly kind: 'connections'; readonly ask: number }
  /** A peer is to be held for what it did in another worker. */
  | { readonly kind: 'hold'; readonly peer: Peer }
  | {
      readonly kind: 'profile';
      readonly ask: number;
      readonly of: ProfileKind;
      readonly ms: number;
    }
  | { readonly kind: 'stop accepting'; readonly ask: number }
  /** Stand still and say what can move of these pods; `owner` ends it. */
  | { readonly kind: 'give'; readonly ask: number; readonly podUids: readonly string[] }
  /** Take these up and stand still; `owner` ends it. */
  | { readonly kind: 'take'; readonly ask: number; readonly units: readonly GivenUnit[] }
  /** Whose it is, what was given or taken under the number `of`. */
  | {
      readonly kind: 'owner';
      readonly ask: number;
      readonly of: number;
      readonly isOurs: boolean;
    }
  | { readonly kind: 'drain'; readonly ask: number; readonly drainMs: number }
  | { readonly kind: 'stop' };

export type FromWorker =
  | { readonly kind: 'profile'; readonly ask: number; readonly profile: string }
  /** As text: half the price of a structured clone. */
  | ({ readonly kind: 'ended' } & Ended)
  | { readonly kind: 'labels'; readonly row: number; readonly labels: FlowLabels }
  | { readonly kind: 'probe'; readonly arrival: ProbeArrival }
  | { readonly kind: 'resolve'; readonly query: number; readonly hostname: string }
  | { readonly kind: 'done'; readonly ask: number }
  | {
      readonly kind: 'offence';
      readonly peer: Peer;
      readonly holdMs: number;
      readonly reason: string;
    }
  /**
   * `memory` is a file with a line for each unit: how many descriptors it has, and its JSON; `bytes`
   * is one with what sockets have queued. `problem` is '' when all could be written down.
   */
  | {
      readonly kind: 'giving';
      readonly ask: number;
      readonly problem: string;
      readonly memory: number;
      readonly bytes: number;
      readonly descriptors: readonly number[];
      readonly units: number;
    }
  /** How many units were refused, and why the last one was. */
  | {
      readonly kind: 'taking';
      readonly ask: number;
      readonly refused: number;
      readonly problem: string;
    }
  | {
      readonly kind: 'connections';
      readonly ask: number;
      readonly connections: readonly ConnectionInfo[];
    }
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
  readonly accessLog: AccessLog | undefined;
  /** Of its thread, whatever main's is by then: precedence.ts. */
  readonly priority: number;
}
